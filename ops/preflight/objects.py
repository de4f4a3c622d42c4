"""Checks of objects that were left unfinished: invalid indexes, constraints not validated."""

from __future__ import annotations

from psycopg import sql

from ops.command_lines import psql_command
from ops.formatting import pluralize
from ops.preflight.finding import Finding, PreflightContext, Severity
from ops.sql.query import fetch_all

_INVALID_INDEXES_SQL = """
SELECT c.relname, indrelid::regclass::text, EXISTS (
    SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = indexrelid OR p.relid = indrelid)
FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    JOIN pg_namespace n ON n.oid = relnamespace
WHERE NOT (indisvalid AND indisready) AND nspname = ANY (current_schemas(false)) ORDER BY 1
"""
_UNVALIDATED_CONSTRAINTS_SQL = """
SELECT conname, conrelid::regclass::text FROM pg_constraint JOIN pg_namespace n ON n.oid = connamespace
WHERE NOT convalidated AND nspname = ANY (current_schemas(false)) ORDER BY 1
"""


def check_invalid_indexes(context: PreflightContext) -> Finding:
    """Find what a failed CREATE INDEX CONCURRENTLY left: it slows every write, and no query uses it."""
    indexes = fetch_all(_INVALID_INDEXES_SQL)
    if not indexes:
        return Finding(Severity.GREEN, "All are valid.")
    details = tuple(
        f"{index} on {table}{', being built now' if in_progress else ''}"
        for index, table, in_progress in indexes
    )
    broken = [index for index, _, in_progress in indexes if not in_progress]
    statement = sql.SQL("DROP INDEX CONCURRENTLY {}")
    todo = tuple(psql_command(statement.format(sql.Identifier(index)).as_string()) for index in broken)
    severity = Severity.RED if broken else Severity.YELLOW
    return Finding(severity, f"{pluralize(len(indexes), 'invalid index', 'invalid indexes')}.", details, todo)


def check_unvalidated_constraints(context: PreflightContext) -> Finding:
    constraints = fetch_all(_UNVALIDATED_CONSTRAINTS_SQL)
    if not constraints:
        return Finding(Severity.GREEN, "All are validated.")
    details = tuple(f"{name} on {table}" for name, table in constraints)
    statement = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}")
    todo = tuple(
        psql_command(statement.format(sql.SQL(table), sql.Identifier(name)).as_string())
        for name, table in constraints
    )
    message = f"{pluralize(len(constraints), 'constraint')} checked for new rows only."
    return Finding(Severity.YELLOW, message, details, todo)
