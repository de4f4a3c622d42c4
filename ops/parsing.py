"""Spans of time, sizes and times as people type them. What cannot be read raises ValueError."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

_DURATION_UNITS = {
    "s": "seconds",
    "sec": "seconds",
    "m": "minutes",
    "min": "minutes",
    "h": "hours",
    "d": "days",
}
_SIZE_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def parse_duration(text: str) -> timedelta:
    """``15min``, ``1h 30min``, ``2d``, ``0``, ``none``."""
    asked = re.sub(r"\s", "", text.lower())
    if asked in ("0", "none", "no"):
        return timedelta()
    parts = re.findall(r"(\d+)([a-z]+)", asked)
    if not parts or "".join(number + unit for number, unit in parts) != asked:
        raise ValueError(text)
    try:
        return sum((timedelta(**{_DURATION_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    except (KeyError, OverflowError):
        raise ValueError(text) from None


def parse_size(text: str) -> int:
    """Bytes of ``200GB`` or ``1.5 TB``."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]b|b?)", text.strip().lower())
    if parts is None:
        raise ValueError(text)
    return int(float(parts[1]) * _SIZE_UNITS[parts[2]])


def parse_timestamp(text: str) -> datetime:
    """``2026-11-25``, ``2026-11-25 14:30`` (in UTC, where no zone is told), or ``2h``: so long ago."""
    if date := parse_date(text):
        return timezone.make_aware(datetime.combine(date, time()))
    if found := parse_datetime(text):
        return found if timezone.is_aware(found) else timezone.make_aware(found)
    try:
        return timezone.now() - parse_duration(text)
    except OverflowError:
        raise ValueError(text) from None
