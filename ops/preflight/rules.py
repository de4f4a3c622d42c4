"""The lint rules: why a statement of a migration is not safe while players play, and what to do instead.

The names are Squawk's (https://squawkhq.com/docs/rules), except the last ones, which are ours. Squawk's rules
of style are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.command_lines import manage_command
from ops.preflight.finding import Severity


@dataclass(frozen=True)
class LintRule:
    """Why the statement is unsafe, what to do instead, and its severity by the size of its table."""

    reason: str
    safe_alternative: str
    large_table_severity: Severity = Severity.RED
    small_table_severity: Severity = Severity.YELLOW


_NON_ATOMIC = "one of its own in a migration with atomic = False"
_NOT_VALID = "AddConstraintNotValid, then ValidateConstraint in the next migration"
_EXPAND_AND_BACKFILL = (
    "a new nullable column, a trigger that keeps it equal, a backfill, and only then NOT NULL"
)
_DEPLOY_FIRST = "first deploy code that no longer uses it, and watch it for a day or two"


def _compatibility_rule(reason: str, safe_alternative: str) -> LintRule:
    """Build a rule for what is quick on any table, but breaks code that still runs."""
    return LintRule(reason, safe_alternative, large_table_severity=Severity.YELLOW)


LINT_RULES = {
    "require-concurrent-index-creation": LintRule(
        "blocks writes to the table while the index is built", f"AddIndexConcurrently, {_NON_ATOMIC}"
    ),
    "require-concurrent-index-deletion": LintRule(
        "waits for every query on the table, and blocks later ones", f"RemoveIndexConcurrently, {_NON_ATOMIC}"
    ),
    "require-concurrent-reindex": LintRule(
        "blocks writes to the table while the index is built", "REINDEX INDEX CONCURRENTLY"
    ),
    "ban-concurrent-index-creation-in-transaction": LintRule(
        "CONCURRENTLY is refused inside a transaction",
        f"move it, {_NON_ATOMIC}",
        small_table_severity=Severity.RED,
    ),
    "changing-column-type": LintRule(
        "rewrites the table, which blocks reads and writes", _EXPAND_AND_BACKFILL
    ),
    "adding-field-with-default": LintRule(
        "rewrites the table, which blocks reads and writes", "null=True, then a backfill"
    ),
    "adding-required-field": LintRule(
        "fails if the table has rows, and code that does not know the column can no longer add rows",
        f"db_default=, or {_EXPAND_AND_BACKFILL}",
        small_table_severity=Severity.RED,
    ),
    "adding-not-nullable-field": LintRule(
        "blocks reads and writes while the table is scanned for NULLs",
        f"a CheckConstraint that it is not null ({_NOT_VALID}): PostgreSQL then skips the scan",
    ),
    "constraint-missing-not-valid": LintRule("blocks writes while every row is checked", _NOT_VALID),
    "adding-foreign-key-constraint": LintRule(
        "blocks writes to both tables while every row is checked",
        "db_constraint=False, then ADD CONSTRAINT ... NOT VALID and VALIDATE CONSTRAINT by RunSQL",
    ),
    "disallowed-unique-constraint": LintRule(
        "blocks reads and writes while its index is built",
        "a unique index built CONCURRENTLY, then ADD CONSTRAINT ... UNIQUE USING INDEX by RunSQL",
    ),
    "adding-serial-primary-key-field": LintRule(
        "blocks reads and writes while its index is built", "as for a unique constraint"
    ),
    "renaming-column": LintRule(
        "code that still runs knows only the old name",
        "db_column=, or a new column beside it",
        small_table_severity=Severity.RED,
    ),
    "renaming-table": LintRule(
        "code that still runs knows only the old name", "Meta.db_table", small_table_severity=Severity.RED
    ),
    "ban-drop-column": _compatibility_rule(
        "deletes its values, and code that still runs uses it", _DEPLOY_FIRST
    ),
    "ban-drop-table": _compatibility_rule(
        "deletes its rows, and code that still runs uses it", _DEPLOY_FIRST
    ),
    "ban-truncate-cascade": LintRule(
        "empties other tables too", "an operation", small_table_severity=Severity.RED
    ),
    "ban-drop-default": _compatibility_rule(
        "code that does not know the column can no longer add rows", "db_default= instead of default="
    ),
    "ban-drop-not-null": _compatibility_rule(
        "code that still runs may not expect NULL", "first deploy code that does"
    ),
    "syntax-error": _compatibility_rule(
        "cannot be read by the linter", f"read it: {manage_command('sqlmigrate', 'APP', 'MIGRATION')}"
    ),
    # Ours.
    "change-of-many-rows": LintRule(
        "locks every row that it changes until the migration ends", "an operation, which works in batches"
    ),
    "python": _compatibility_rule(
        "its changes cannot be known in advance", "an operation, which can be previewed, paused and reverted"
    ),
    "no-way-back": _compatibility_rule("cannot be migrated back", "reverse_code= or reverse_sql="),
}
