"""The formats of values that an operator reads."""

from datetime import timedelta

import pytest

from ops.formatting import escape_control_chars, format_duration, format_elapsed


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3_600, "1 h"),
        (7_500, "2 h 5 min"),
        (86_400, "24 h"),
    ],
)
def test_a_duration_has_two_units_at_most_and_none_that_is_zero(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


def test_a_sentence_does_not_say_0_seconds() -> None:
    assert format_elapsed(timedelta(seconds=0.04)) == "less than 0.1 s"
    assert format_elapsed(timedelta(seconds=0.06)) == "0.1 s"
