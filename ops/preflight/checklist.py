"""The lines of the checklist, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import DatabaseError, ProgrammingError

from ops.preflight import backup, health, migrations, objects, people, runs, server, space, wal
from ops.preflight.finding import Finding, Light, Situation, worst
from ops.trouble import is_told

CHECKS: dict[str, Callable[[Situation], Finding]] = {
    "backup": backup.fresh_backup,
    "migrations": migrations.unapplied,
    "safety": migrations.unsafe,
    "drift": migrations.drifted,
    "rehearsal": backup.rehearsal,
    "rollback plan": people.rollback_plan,
    "downtime": people.downtime,
    "team": people.team_notified,
    "monitoring": people.monitoring,
    "workers": runs.workers,
    "active runs": runs.active_runs,
    "failed runs": runs.failed_runs,
    "data": runs.rows_refused,
    "indexes": objects.invalid_indexes,
    "constraints": objects.unvalidated_constraints,
    "transactions": server.long_transactions,
    "prepared": server.prepared_transactions,
    "replication": server.replication,
    "health": health.health,
    "room for WAL": wal.room_for_wal,
    "database disk": space.database_disk,
    "local disk": space.local_disk,
}

Lines = dict[str, Finding]


def go_through(situation: Situation) -> Iterator[tuple[str, Finding]]:
    """Every line, one after the other; what our role may not see is yellow, with the reason."""
    for name, check in CHECKS.items():
        try:
            yield name, check(situation)
        except DatabaseError as exc:
            if not isinstance(exc, ProgrammingError) and not is_told(exc):
                raise
            yield name, Finding(Light.YELLOW, f"Cannot be seen: {str(exc).splitlines()[0]}")


def verdict(lines: Lines) -> Light:
    return worst(*(finding.light for finding in lines.values()))
