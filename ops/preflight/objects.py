"""Objects of the schema that are there and yet not wholly: invalid indexes, constraints not validated."""

from __future__ import annotations

import shlex
from typing import LiteralString

from psycopg import sql

from ops.preflight.finding import Finding, Light, Situation
from ops.sql.ask import ask

_INDEXES = """
SELECT c.relname, indrelid::regclass::text, EXISTS (
    SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = indexrelid OR p.relid = indrelid)
FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    JOIN pg_namespace n ON n.oid = relnamespace
WHERE NOT (indisvalid AND indisready) AND nspname = ANY (current_schemas(false)) ORDER BY 1
"""
_CONSTRAINTS = """
SELECT conname, conrelid::regclass::text FROM pg_constraint JOIN pg_namespace n ON n.oid = connamespace
WHERE NOT convalidated AND nspname = ANY (current_schemas(false)) ORDER BY 1
"""


def invalid_indexes(situation: Situation) -> Finding:
    """What CREATE INDEX CONCURRENTLY leaves when it fails: every write pays for it, no query uses it."""
    found = ask(_INDEXES)
    if not found:
        return Finding(Light.GREEN, "All are valid.")
    details = tuple(
        f"{index} on {table}{', being built now' if built else ''}" for index, table, built in found
    )
    broken = [index for index, _, built in found if not built]
    todo = tuple(_psql("DROP INDEX CONCURRENTLY {}", sql.Identifier(index)) for index in broken)
    light = Light.RED if broken else Light.YELLOW
    return Finding(light, f"{len(found)} invalid.", details, todo)


def unvalidated_constraints(situation: Situation) -> Finding:
    found = ask(_CONSTRAINTS)
    if not found:
        return Finding(Light.GREEN, "All are validated.")
    details = tuple(f"{name} on {table}" for name, table in found)
    todo = tuple(
        _psql("ALTER TABLE {} VALIDATE CONSTRAINT {}", sql.SQL(table), sql.Identifier(name))
        for name, table in found
    )
    told = f"{len(found)} hold for new rows only."
    return Finding(Light.YELLOW, told, details, todo)


def _psql(statement: LiteralString, *names: sql.Composable) -> str:
    written = sql.SQL(statement).format(*names).as_string()
    return f'psql "$DATABASE_URL" -c {shlex.quote(written)}'
