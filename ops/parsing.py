"""Parse durations, sizes and times that people type. Each function raises ValueError."""

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
    """Parse ``15min``, ``1h 30min``, ``2d``; ``0`` and ``none`` are zero."""
    compact = re.sub(r"\s", "", text.lower())
    if compact in ("0", "none", "no"):
        return timedelta()
    parts = re.findall(r"(\d+)([a-z]+)", compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(text)
    try:
        return sum((timedelta(**{_DURATION_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    except (KeyError, OverflowError):
        raise ValueError(text) from None


def parse_size(text: str) -> int:
    """Parse ``200GB`` or ``1.5 TB`` to bytes."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]b|b?)", text.strip().lower())
    if parts is None:
        raise ValueError(text)
    return int(float(parts[1]) * _SIZE_UNITS[parts[2]])


def parse_timestamp(text: str) -> datetime:
    """Parse ``2026-11-25``, ``2026-11-25 14:30`` (UTC unless it has a zone), or ``2h`` (two hours ago)."""
    if date := parse_date(text):
        return timezone.make_aware(datetime.combine(date, time()))
    if when := parse_datetime(text):
        return when if timezone.is_aware(when) else timezone.make_aware(when)
    try:
        return timezone.now() - parse_duration(text)
    except OverflowError:
        raise ValueError(text) from None
