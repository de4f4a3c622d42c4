"""Why a statement would keep players waiting for long, and what to do instead.

The names are Squawk's (https://squawkhq.com/docs/rules) where it has the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.command_lines import manage_command

LARGE_TABLE_BYTES = 16 * 2**20  # bytes: a scan or a rewrite of less takes a fraction of a second
COLUMN_CHANGE = f"a column change: {manage_command('startchange', 'APP.MODEL', 'FIELD')}"


@dataclass(frozen=True)
class Rule:
    """Why the statement keeps players waiting, and the safe way."""

    reason: str
    safe_alternative: str


_REWRITE = "rewrites the table, which blocks reads and writes"
_INDEX = "blocks writes to the table while the index is built"

RULES = {
    "require-concurrent-index-creation": Rule(
        _INDEX, "a name for the index; on a partitioned table, an index for each partition"
    ),
    "require-concurrent-index-deletion": Rule(
        "waits for every query on the table, and blocks later ones", "DROP INDEX CONCURRENTLY"
    ),
    "require-concurrent-reindex": Rule(_INDEX, "REINDEX CONCURRENTLY"),
    "constraint-missing-not-valid": Rule(
        "blocks writes while every row is checked", "a name for the constraint, in a statement of its own"
    ),
    "adding-foreign-key-constraint": Rule(
        "blocks writes to both tables while every row is checked",
        "a name for the constraint, in a statement of its own",
    ),
    "disallowed-unique-constraint": Rule(
        "blocks reads and writes while its index is built",
        "a name for the constraint, in a statement of its own",
    ),
    "adding-serial-primary-key-field": Rule(
        "blocks reads and writes while its index is built",
        "NOT NULL columns first, then a named PRIMARY KEY in a statement of its own",
    ),
    "exclusion-constraint": Rule(
        "blocks reads and writes while its index is built", "a new table with the constraint, and a copy"
    ),
    "changing-column-type": Rule(_REWRITE, COLUMN_CHANGE),
    "checking-changed-column": Rule(
        "blocks reads and writes while every row is checked, since a CHECK names the column",
        f"remove the CHECK first and add it again afterwards; or {COLUMN_CHANGE}",
    ),
    "adding-field-with-default": Rule(_REWRITE, "null=True, then an operation that fills it"),
    "adding-generated-field": Rule(
        _REWRITE, "db_persist=False (PostgreSQL 18), or null=True, a trigger and an operation that fills it"
    ),
    "rewriting-table": Rule(_REWRITE, "pg_repack, or a new table and a copy"),
    "refreshing-view": Rule("blocks reads of the view", "REFRESH MATERIALIZED VIEW CONCURRENTLY"),
    "removing-field-in-change": Rule(
        "drops a column of a column change with its triggers, at once and without a way back",
        f"no RemoveField: {manage_command('column_change', 'NAME', 'next')} writes the migration instead",
    ),
    "change-of-many-rows": Rule(
        "locks every row that it changes until the migration ends", "an operation, which works in batches"
    ),
}
