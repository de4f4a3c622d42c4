"""Intervals as a session tells them, whatever its IntervalStyle."""

from __future__ import annotations

import re
from datetime import timedelta

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader

# Note [Intervals of any style]
# psycopg reads intervals in the style `postgres` alone, and Django sets none: a role with another
# IntervalStyle could not even look at a run. To set it for the session would be wrong behind a pooler, where
# the session is not ours. So they are read as they come. A year has 365 days and a month 30, as in psycopg.
_DAYS_PER_UNIT = {"year": 365, "Y": 365, "mon": 30, "M": 30, "day": 1, "D": 1}
_SECONDS_PER_UNIT = {"hour": 3600, "H": 3600, "min": 60, "M": 60, "sec": 1, "S": 1}
_UNIT_PATTERN = re.compile(r"([-+]?\d+(?:\.\d+)?) ?(year|mon|day|hour|min|sec|[YMDHS])")
_CLOCK_PATTERN = re.compile(r"([-+]?)(\d+):(\d+):(\d+(?:\.\d+)?)$")
_YEAR_MONTH_PATTERN = re.compile(r"([-+]?)(\d+)-(\d+)$")


class IntervalLoader(Loader):
    """Loads an interval as timedelta. Raises DataError where Python has none so long."""

    def load(self, data: Buffer) -> timedelta:
        text = bytes(data).decode()
        try:
            return parse_interval(text)
        except (ValueError, OverflowError) as exc:
            raise psycopg.DataError(f"can't parse interval {text!r}: {exc}") from exc


def parse_interval(text: str) -> timedelta:
    """An interval in any of PostgreSQL's four styles. Raises ValueError, OverflowError."""
    if text.startswith("P"):
        days, _, time = text.partition("T")
        return _sum_units(days, _DAYS_PER_UNIT, "days") + _sum_units(time, _SECONDS_PER_UNIT, "seconds")
    if text.startswith("@"):
        span = _sum_units(text, _DAYS_PER_UNIT, "days") + _sum_units(text, _SECONDS_PER_UNIT, "seconds")
        return -span if text.endswith("ago") else span
    if _UNIT_PATTERN.search(text):
        days, _, clock = text.rpartition(" ") if ":" in text else (text, "", "0")
        return _sum_units(days, _DAYS_PER_UNIT, "days") + _parse_interval_field(clock)
    first, *others = text.split()
    signed = first.startswith("-") and not any(other.startswith(("-", "+")) for other in others)
    return sum(
        (_parse_interval_field(f"-{other}" if signed else other) for other in others),
        _parse_interval_field(first),
    )


def _sum_units(text: str, units: dict[str, int], of: str) -> timedelta:
    """The parts that have one of the units: ``1 year 2 mons``, ``P1Y2M``."""
    parts = [float(number) * units[unit] for number, unit in _UNIT_PATTERN.findall(text) if unit in units]
    return timedelta(**{of: sum(parts)})


def _parse_interval_field(text: str) -> timedelta:
    """``-04:05:06.7``, the SQL standard's ``1-2`` for a year and two months, or a number of days."""
    if clock := _CLOCK_PATTERN.match(text):
        hours, minutes = int(clock[2]), int(clock[3])
        time = timedelta(hours=hours, minutes=minutes, seconds=float(clock[4]))
        return -time if clock[1] == "-" else time
    if months := _YEAR_MONTH_PATTERN.match(text):
        days = timedelta(days=365 * int(months[2]) + 30 * int(months[3]))
        return -days if months[1] == "-" else days
    return timedelta(days=int(text))
