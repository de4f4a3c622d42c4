"""The checks of the preflight checklist, in the order of its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from django.db import DatabaseError, ProgrammingError

from ops.formatting import first_line
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


def iter_findings(
    context: PreflightContext, names: Iterable[str] = tuple(CHECKS)
) -> Iterator[tuple[str, Finding]]:
    """Run the checks of these names one by one.

    A check whose rows our role may not read yields a yellow finding. Raises DatabaseError if the
    server is away.
    """
    for name in names:
        try:
            yield name, CHECKS[name](context)
        except DatabaseError as exc:
            if not isinstance(exc, ProgrammingError) and not is_server_error(exc):
                raise
            yield name, Finding(Severity.YELLOW, f"Cannot be read: {first_line(exc)}")


def overall_severity(findings: FindingsByName) -> Severity:
    return worst_severity(*(finding.severity for finding in findings.values()))
