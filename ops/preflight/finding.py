"""The input and the result of a preflight check."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property

from ops.migration_status import MigrationStatus, read_migration_status


class Severity(StrEnum):
    """Green: nothing to do. Yellow: look at it, then decide. Red: not ready."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True)
class Finding:
    """The result of a check: a sentence and details; ``todo`` is what to do or to type next."""

    severity: Severity
    message: str
    details: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()


@dataclass
class ManualAnswers:
    """Answers that only a person can give; None if not answered. ``database_free`` is in bytes."""

    team_notified: str | None = None
    downtime: timedelta | None = None
    rollback_plan: str | None = None
    monitoring: str | None = None
    database_free: int | None = None


@dataclass
class PreflightContext:
    """What the checks read; the migration status is read once."""

    answers: ManualAnswers = field(default_factory=ManualAnswers)
    rehearse: bool = False

    @cached_property
    def migration_status(self) -> MigrationStatus:
        return read_migration_status()

    @property
    def has_unapplied_migrations(self) -> bool:
        return bool(self.migration_status.unapplied)


def worst_severity(*severities: Severity) -> Severity:
    return max(severities, key=list(Severity).index, default=Severity.GREEN)
