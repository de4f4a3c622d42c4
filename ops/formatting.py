"""Format counts, durations, times, sizes and values for a person to read."""

from __future__ import annotations

import inspect
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

_CONTROL_CHARS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def format_duration(duration: timedelta) -> str:
    """``0.4 s``, ``12 s``, ``3 min``, ``3 min 20 s``, ``2 h 5 min``, ``24 h``."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    parts = (f"{hours} h", f"{minutes} min") if hours else (f"{minutes} min", f"{rest} s")
    return " ".join(part for part in parts if not part.startswith("0 "))


def format_elapsed(duration: timedelta) -> str:
    """Format a duration for a sentence: ``less than 0.1 s`` instead of ``0.0 s``."""
    text = format_duration(duration)
    return "less than 0.1 s" if text == "0.0 s" else text


def format_time(when: datetime | None) -> str:
    """``2026-11-25 21:15:59 UTC``; empty for None."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if when else ""


def format_time_in_words(when: datetime, now: datetime) -> str:
    """``today 14:05``, ``yesterday 14:05``, ``Monday 14:05``, ``25 November 14:05``, or with the year.

    Both times are in the time zone in which they are read.
    """
    days, clock = (now.date() - when.date()).days, f"{when:%H:%M}"
    if days in (0, 1):
        return f"{'yesterday' if days else 'today'} {clock}"
    if 1 < days < 7:
        return f"{when:%A} {clock}"
    year = "" if when.year == now.year else f" {when.year}"
    return f"{when.day} {when:%B}{year} {clock}"


def escape_control_chars(text: str) -> str:
    """Escape control characters, bidirectional controls and lone surrogates as ``\\u001b``.

    Python decodes the bytes of a file name that are not UTF-8 to lone surrogates.
    """
    return _CONTROL_CHARS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def summarize_docstring(declared: type) -> str:
    """Return the first paragraph of a class's docstring, as one line; "" without one."""
    return inspect.cleandoc(declared.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def truncate(text: str, width: int = 60) -> str:
    """Shorten a text of others to ``width`` characters, with lone surrogates escaped."""
    return _shorten(text, width).encode(errors="backslashreplace").decode()


def quote_truncated(text: str, width: int = 60) -> str:
    """Shorten a text to ``width`` characters and quote it as ``repr`` does."""
    return repr(_shorten(text, width))


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def format_estimate(duration: timedelta) -> str:
    return f"about {format_duration(duration)}" if duration >= timedelta(seconds=1) else "less than a second"


def rows_per_second(rows: float, duration: timedelta) -> float:
    """Return the rate; 0 if the duration is below 1 ms, as after a clock was set back."""
    return rows / duration.total_seconds() if duration >= timedelta(milliseconds=1) else 0.0


def format_rate(rows: float, duration: timedelta) -> str:
    return f"{rows_per_second(rows, duration):,.0f} rows/s"


def format_size(count: int) -> str:
    """``512 bytes``, ``42.5 MB``; a kB is 1000 bytes."""
    if count < 1000:
        return f"{count} bytes"
    amount, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < 999.95:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}"


def pluralize(count: int, one: str, many: str = "") -> str:
    """``1 step``, ``3 steps``, ``2 batches``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def to_camel_case(name: str) -> str:
    """``pack_id`` is ``packId``."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def format_value(value: Any) -> str:
    """``NULL``, a text as it is, anything else as JSON."""
    if value is None:
        return "NULL"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def format_row_count(model: Any, count: int) -> str:
    """``1 card``, ``1,247 cards``."""
    meta = model._meta
    return f"{count:,} {meta.verbose_name if count == 1 else meta.verbose_name_plural}"


def format_time_left(rows: int, rate: float) -> str:
    """Format the time for ``rows`` at ``rate`` rows per second; with none left, the last sweep still runs."""
    seconds = min(rows / max(rate, 0.001), timedelta(days=999).total_seconds())
    return f"{format_duration(timedelta(seconds=seconds))} left" if rows else "checking for remaining rows"
