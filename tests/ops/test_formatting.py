"""The formats of values that an operator reads."""

import pytest

from ops.formatting import escape_control_chars


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("águila\nreal", "águila\nreal"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\u202egnp", "\\u202egnp"),
        ("a\x00b\x7f\x9b", "a\\u0000b\\u007f\\u009b"),
        ("a\udcff", "a\\udcff"),
    ],
)
def test_control_characters_are_escaped(text: str, escaped: str) -> None:
    assert escape_control_chars(text) == escaped
