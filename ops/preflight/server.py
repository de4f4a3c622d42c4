"""Checks of the server: long and prepared transactions, standbys and replication slots."""

from __future__ import annotations

from datetime import timedelta

from psycopg import sql

from ops.command_lines import psql_command
from ops.formatting import format_duration, format_size, pluralize
from ops.preflight.finding import Finding, PreflightContext, Severity, worst_severity
from ops.sql.query import fetch_all

_LONG_TRANSACTION, _VERY_LONG_TRANSACTION = timedelta(minutes=1), timedelta(minutes=10)
_LAG_WARNING, _LAG_CRITICAL = 2**24, 2**28  # bytes of WAL
_MAX_QUERY_CHARS = 60  # characters of a statement that are shown

_LONG_TRANSACTIONS_SQL = """
SELECT pid, coalesce(nullif(application_name, ''), usename, backend_type), state, now() - xact_start,
    left(regexp_replace(query, '\\s+', ' ', 'g'), %s)
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND now() - xact_start >= %s
ORDER BY xact_start
"""
_PREPARED_TRANSACTIONS_SQL = """
SELECT gid, owner, now() - prepared FROM pg_prepared_xacts
WHERE database = current_database() ORDER BY prepared
"""
_STANDBYS_SQL = """
SELECT coalesce(nullif(application_name, ''), 'a standby'), state,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint, replay_lag
FROM pg_stat_replication ORDER BY 1
"""
_REPLICATION_SLOTS_SQL = """
SELECT slot_name, active, wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
FROM pg_replication_slots WHERE NOT temporary ORDER BY 1
"""


def check_long_transactions(context: PreflightContext) -> Finding:
    """A schema change waits for their locks, and every later statement waits for the schema change."""
    transactions = fetch_all(_LONG_TRANSACTIONS_SQL, _MAX_QUERY_CHARS, _LONG_TRANSACTION)
    if not transactions:
        return Finding(Severity.GREEN, f"None is older than {format_duration(_LONG_TRANSACTION)}.")
    details = tuple(
        f"process {pid} ({name}, {state}), {format_duration(age)}: {query}"
        for pid, name, state, age, query in transactions
    )
    severity = Severity.RED if transactions[0][3] >= _VERY_LONG_TRANSACTION else Severity.YELLOW
    statements = " ".join(f"SELECT pg_terminate_backend({pid});" for pid, *_ in transactions)
    todo = ("Wait for them, or end them:", psql_command(statements))
    message = (
        f"{pluralize(len(transactions), 'transaction')} older than {format_duration(_LONG_TRANSACTION)}."
    )
    return Finding(severity, message, details, todo)


def check_prepared_transactions(context: PreflightContext) -> Finding:
    """They hold their locks until somebody ends them, even across a restart."""
    transactions = fetch_all(_PREPARED_TRANSACTIONS_SQL)
    if not transactions:
        return Finding(Severity.GREEN, "No prepared transaction holds locks.")
    details = tuple(f"{gid}, of {owner}, {format_duration(age)} ago" for gid, owner, age in transactions)
    rollbacks = [
        sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)).as_string() for gid, *_ in transactions
    ]
    todo = tuple(f"{psql_command(rollback)}, or COMMIT PREPARED" for rollback in rollbacks)
    message = f"{pluralize(len(transactions), 'prepared transaction')} holding locks until ended."
    return Finding(Severity.RED, message, details, todo)


def check_replication(context: PreflightContext) -> Finding:
    if fetch_all("SELECT pg_is_in_recovery()")[0][0]:
        todo = ("Point DATABASE_URL at the primary.",)
        return Finding(Severity.RED, "This server is a standby, so it is read-only.", todo=todo)
    standbys, slots = fetch_all(_STANDBYS_SQL), fetch_all(_REPLICATION_SLOTS_SQL)
    if not standbys and not slots:
        return Finding(Severity.GREEN, "No standby and no replication slot.")
    results = [_check_standby(*row) for row in standbys] + [_check_replication_slot(*row) for row in slots]
    severity = worst_severity(*(severity for severity, _ in results))
    message = f"{pluralize(len(standbys), 'standby', 'standbys')}, {pluralize(len(slots), 'slot')}."
    todo = ("Let the standbys catch up; drop slots that are not in use.",)
    details = tuple(text for _, text in results)
    return Finding(severity, message, details, todo if severity != Severity.GREEN else ())


def _check_standby(
    name: str, state: str | None, behind: int | None, lag: timedelta | None
) -> tuple[Severity, str]:
    if behind is None:
        return Severity.YELLOW, f"{name}: its lag is not visible to our role (GRANT pg_monitor TO it)"
    late = f", {format_duration(lag)} late" if lag else ""
    severity = Severity.YELLOW if state != "streaming" else Severity.GREEN
    return worst_severity(
        severity, _lag_severity(behind)
    ), f"{name}: {state}, {format_size(behind)} behind{late}"


def _check_replication_slot(
    name: str, active: bool, status: str | None, kept: int | None
) -> tuple[Severity, str]:
    summary = f"slot {name}: {'in use' if active else 'not in use'}, keeps {format_size(kept or 0)} of WAL"
    if status in ("unreserved", "lost"):
        return Severity.RED, f"{summary} and is {status}"
    return worst_severity(Severity.GREEN if active else Severity.YELLOW, _lag_severity(kept or 0)), summary


def _lag_severity(behind: int) -> Severity:
    if behind >= _LAG_CRITICAL:
        return Severity.RED
    return Severity.YELLOW if behind >= _LAG_WARNING else Severity.GREEN
