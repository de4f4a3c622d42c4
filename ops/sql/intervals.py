"""Parse PostgreSQL's intervals, whatever the session's IntervalStyle."""

from __future__ import annotations

import re
from datetime import timedelta

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader

# Note [Intervals of any style]
# psycopg parses only the style `postgres`, and Django does not set one: a role with another IntervalStyle
# could not even read a run. Setting it for the session would be wrong behind a pooler, where the session is
# shared. So every style is parsed. A year has 365 days and a month 30, as in psycopg.
_DAYS_PER_UNIT = {"year": 365, "Y": 365, "mon": 30, "M": 30, "day": 1, "D": 1}
_SECONDS_PER_UNIT = {"hour": 3600, "H": 3600, "min": 60, "M": 60, "sec": 1, "S": 1}
_UNIT_PATTERN = re.compile(r"([-+]?\d+(?:\.\d+)?) ?(year|mon|day|hour|min|sec|[YMDHS])")
_CLOCK_PATTERN = re.compile(r"([-+]?)(\d+):(\d+):(\d+(?:\.\d+)?)$")
_YEAR_MONTH_PATTERN = re.compile(r"([-+]?)(\d+)-(\d+)$")


class IntervalLoader(Loader):
    """Load an interval as timedelta. Raises DataError where it is out of timedelta's range."""

    def load(self, data: Buffer) -> timedelta:
        text = bytes(data).decode()
        try:
            return parse_interval(text)
        except (ValueError, OverflowError) as exc:
            raise psycopg.DataError(f"can't parse interval {text!r}: {exc}") from exc


def parse_interval(text: str) -> timedelta:
    """Parse an interval in any of PostgreSQL's four styles. Raises ValueError, OverflowError."""
    if text.startswith("P"):
        days, _, time = text.partition("T")
        return _sum_units(days, _DAYS_PER_UNIT, "days") + _sum_units(time, _SECONDS_PER_UNIT, "seconds")
    if text.startswith("@"):
        duration = _sum_units(text, _DAYS_PER_UNIT, "days") + _sum_units(text, _SECONDS_PER_UNIT, "seconds")
        return -duration if text.endswith("ago") else duration
    if _UNIT_PATTERN.search(text):
        days, _, clock = text.rpartition(" ") if ":" in text else (text, "", "0")
        return _sum_units(days, _DAYS_PER_UNIT, "days") + _parse_interval_field(clock)
    first, *rest = text.split()
    is_negative = first.startswith("-") and not any(field.startswith(("-", "+")) for field in rest)
    return sum(
        (_parse_interval_field(f"-{field}" if is_negative else field) for field in rest),
        _parse_interval_field(first),
    )


def _sum_units(text: str, units: dict[str, int], keyword: str) -> timedelta:
    """Add up the parts with one of the units, in timedelta's ``keyword``: ``1 year 2 mons``, ``P1Y2M``."""
    parts = [float(number) * units[unit] for number, unit in _UNIT_PATTERN.findall(text) if unit in units]
    return timedelta(**{keyword: sum(parts)})


def _parse_interval_field(text: str) -> timedelta:
    """Parse ``-04:05:06.7``, the SQL standard's ``1-2`` (a year and two months), or a number of days."""
    if clock := _CLOCK_PATTERN.match(text):
        hours, minutes = int(clock[2]), int(clock[3])
        time = timedelta(hours=hours, minutes=minutes, seconds=float(clock[4]))
        return -time if clock[1] == "-" else time
    if months := _YEAR_MONTH_PATTERN.match(text):
        days = timedelta(days=365 * int(months[2]) + 30 * int(months[3]))
        return -days if months[1] == "-" else days
    return timedelta(days=int(text))
