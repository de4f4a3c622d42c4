"""The limits of the health indicators, from the environment; each has its unit in its name."""

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
    """The type of ``settings.OPS_HEALTH``. A value above its limit is unhealthy."""

    hold_seconds: int = 5
    replica_lag_seconds: int = 10
    replica_lag_mb: int = 256
    archive_files: int = 32
    # How long a run waits for an autovacuum of its table. Autovacuum limits its own load, and comes often
    # because of the run: waiting 5 s each time halved the speed of a run of a million rows.
    autovacuum_seconds: int = 0
    # The size of the database's disk (200GB), for a server on another host; empty: unknown.
    disk_free_mb: int = 1024
    database_disk: str = ""
    lock_wait_ms: int = 500
    lock_waiters: int = 8
    connections_percent: int = 90
    player_latency_ms: int = 250
    # A statement to time, or the dotted path of a callable that returns seconds; empty: no probe.
    player_probe: str = ""

    @property
    def hold(self) -> timedelta:
        return timedelta(seconds=self.hold_seconds)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> HealthLimits:
        """Read variables such as OPS_HEALTH_HOLD_SECONDS.

        Raises ImproperlyConfigured with a line for each invalid variable.
        """
        variables = {name: value for name, value in environ.items() if name.startswith(ENV_PREFIX)}
        field_names = {ENV_PREFIX + field.name.upper(): field.name for field in fields(cls)}
        if problems := [*_iter_problems(variables, field_names)]:
            raise ImproperlyConfigured("\n".join(problems))
        values = {field_names[name]: value for name, value in variables.items()}
        limits: dict[str, Any] = {
            name: value if name in _TEXT_FIELDS else int(value) for name, value in values.items()
        }
        return cls(**limits)


def _iter_problems(variables: Mapping[str, str], field_names: Mapping[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        field_name = field_names.get(name)
        if field_name is None:
            yield f"{name} is not a setting. Use one of: {', '.join(field_names)}"
        elif field_name == _DISK_FIELD:
            yield from _iter_size_problems(name, value)
        elif field_name != _PROBE_FIELD and not (value.isdecimal() and int(value) <= _MAX_INT):
            yield f"{name} is {value!r} but must be a whole number"
        elif value.isdecimal() and not int(value) and field_name not in _ZERO_ALLOWED:
            yield f"{name} is {value!r} but must be above 0"


def _iter_size_problems(name: str, value: str) -> Iterator[str]:
    try:
        if value:
            parse_size(value)
    except ValueError:
        yield f"{name} is {value!r} but must be a size, such as 500GB or 1.5TB"
