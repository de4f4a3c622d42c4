"""The lines of the checklist, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import DatabaseError, ProgrammingError

from ops.preflight import backup, health, manual, migrations, objects, runs, server, space, wal
from ops.preflight.finding import Finding, PreflightContext, Severity, worst_severity
from ops.server_errors import is_server_error

CHECKS: dict[str, Callable[[PreflightContext], Finding]] = {
    "backup": backup.check_backup,
    "migrations": migrations.check_unapplied_migrations,
    "safety": migrations.check_unsafe_migrations,
    "drift": migrations.check_schema_drift,
    "rehearsal": backup.check_rehearsal,
    "rollback plan": manual.check_rollback_plan,
    "downtime": manual.check_downtime,
    "team": manual.check_team_notified,
    "monitoring": manual.check_monitoring,
    "workers": runs.check_workers,
    "active runs": runs.check_active_runs,
    "failed runs": runs.check_failed_runs,
    "data": runs.check_refused_rows,
    "indexes": objects.check_invalid_indexes,
    "constraints": objects.check_unvalidated_constraints,
    "transactions": server.check_long_transactions,
    "prepared": server.check_prepared_transactions,
    "replication": server.check_replication,
    "health": health.check_health,
    "room for WAL": wal.check_wal_room,
    "database disk": space.check_database_disk,
    "local disk": space.check_local_disk,
}

FindingsByName = dict[str, Finding]


def iter_findings(context: PreflightContext) -> Iterator[tuple[str, Finding]]:
    """Every line, one after the other; what our role may not see is yellow, with the reason."""
    for name, check in CHECKS.items():
        try:
            yield name, check(context)
        except DatabaseError as exc:
            if not isinstance(exc, ProgrammingError) and not is_server_error(exc):
                raise
            yield name, Finding(Severity.YELLOW, f"Cannot be seen: {str(exc).splitlines()[0]}")


def overall_severity(lines: FindingsByName) -> Severity:
    return worst_severity(*(finding.severity for finding in lines.values()))
