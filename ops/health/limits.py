"""Where well ends: the limits of the indicators, each with its unit in its name, from the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from ops.parsing import parse_size

ENV_PREFIX = "OPS_HEALTH_"
_PROBE_FIELD, _DISK_FIELD = "player_probe", "database_disk"
_TEXT_FIELDS = {_PROBE_FIELD, _DISK_FIELD}
_ZERO_ALLOWED = {_PROBE_FIELD, "autovacuum_seconds"}
_MAX_INT = 2**31 - 1


@dataclass(frozen=True)
class HealthLimits:
    """What ``settings.OPS_HEALTH`` is. More than a limit is sick."""

    hold_seconds: int = 5
    replica_lag_seconds: int = 10
    replica_lag_mb: int = 256
    archive_files: int = 32
    # An autovacuum has the table to itself for so long. It paces itself, and comes again and again because of
    # the run: five seconds each time halved the speed of a run of a million rows.
    autovacuum_seconds: int = 0
    # Of the database. Where that is elsewhere: how big its disk is, as 200GB; unknown where empty.
    disk_free_mb: int = 1024
    database_disk: str = ""
    lock_wait_ms: int = 500
    lock_waiters: int = 8
    connections_percent: int = 90
    player_latency_ms: int = 250
    # A statement, which is timed, or the dotted path of a callable that returns seconds; none where empty.
    player_probe: str = ""

    @property
    def hold(self) -> timedelta:
        return timedelta(seconds=self.hold_seconds)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> HealthLimits:
        """From variables such as OPS_HEALTH_HOLD_SECONDS. Raises ImproperlyConfigured, naming all faults."""
        given = {name: value for name, value in environ.items() if name.startswith(ENV_PREFIX)}
        known = {ENV_PREFIX + field.name.upper(): field.name for field in fields(cls)}
        if problems := [*_iter_problems(given, known)]:
            raise ImproperlyConfigured("\n".join(problems))
        values = {known[name]: value for name, value in given.items()}
        limits: dict[str, Any] = {
            name: value if name in _TEXT_FIELDS else int(value) for name, value in values.items()
        }
        return cls(**limits)


def _iter_problems(given: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    for name, value in given.items():
        if name not in known:
            yield f"{name} is no setting. There are: {', '.join(known)}"
        elif known[name] == _DISK_FIELD:
            yield from _iter_size_problems(name, value)
        elif known[name] != _PROBE_FIELD and not (value.isdecimal() and int(value) <= _MAX_INT):
            yield f"{name} is {value!r}, and should be a whole number"
        elif value.isdecimal() and not int(value) and known[name] not in _ZERO_ALLOWED:
            yield f"{name} is {value!r}, and should be above 0"


def _iter_size_problems(name: str, value: str) -> Iterator[str]:
    try:
        if value:
            parse_size(value)
    except ValueError:
        yield f"{name} is {value!r}, and should be a size, as 500GB or 1.5TB"
