"""Words that an operator reads."""

import pytest

from ops.formatting import escape_control_chars


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("águila\nreal", "águila\nreal"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\u202egnp", "\\u202egnp"),
        ("a\x00b\x7f\x9b", "a\\u0000b\\u007f\\u009b"),
        ("a\udcff", "a\\udcff"),
    ],
)
def test_nothing_in_them_steers_the_terminal(told: str, shown: str) -> None:
    assert escape_control_chars(told) == shown
