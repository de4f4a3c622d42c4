"""Why a statement of a migration is not safe while players play, and the safe way, in Django's words.

The names are Squawk's (https://squawkhq.com/docs/rules), but for the last ones, which are ours. What Squawk
says of style is left out.
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


def _compatibility_rule(why: str, instead: str) -> LintRule:
    """It is over in a moment on any table; what breaks is code that still runs."""
    return LintRule(why, instead, large_table_severity=Severity.YELLOW)


LINT_RULES = {
    "require-concurrent-index-creation": LintRule(
        "nobody writes the table while the index is built", f"AddIndexConcurrently, {_NON_ATOMIC}"
    ),
    "require-concurrent-index-deletion": LintRule(
        "waits for everybody, and everybody waits for it", f"RemoveIndexConcurrently, {_NON_ATOMIC}"
    ),
    "require-concurrent-reindex": LintRule(
        "nobody writes the table while the index is built", "REINDEX INDEX CONCURRENTLY"
    ),
    "ban-concurrent-index-creation-in-transaction": LintRule(
        "CONCURRENTLY is refused inside a transaction",
        f"put it, {_NON_ATOMIC}",
        small_table_severity=Severity.RED,
    ),
    "changing-column-type": LintRule(
        "the table is rewritten, and nobody reads or writes it meanwhile", _EXPAND_AND_BACKFILL
    ),
    "adding-field-with-default": LintRule(
        "the table is rewritten, and nobody reads or writes it meanwhile", "null=True, then a backfill"
    ),
    "adding-required-field": LintRule(
        "fails where the table has rows, and code that does not know the column can add none",
        f"db_default=, or {_EXPAND_AND_BACKFILL}",
        small_table_severity=Severity.RED,
    ),
    "adding-not-nullable-field": LintRule(
        "nobody reads or writes the table while it is scanned for NULLs",
        f"a CheckConstraint that it is not null ({_NOT_VALID}): PostgreSQL then skips the scan",
    ),
    "constraint-missing-not-valid": LintRule(
        "nobody writes the table while every row is checked", _NOT_VALID
    ),
    "adding-foreign-key-constraint": LintRule(
        "nobody writes either table while every row is looked up",
        "db_constraint=False, then ADD CONSTRAINT ... NOT VALID and VALIDATE CONSTRAINT by RunSQL",
    ),
    "disallowed-unique-constraint": LintRule(
        "nobody reads or writes the table while its index is built",
        "a unique index made CONCURRENTLY, then ADD CONSTRAINT ... UNIQUE USING INDEX by RunSQL",
    ),
    "adding-serial-primary-key-field": LintRule(
        "nobody reads or writes the table while its index is built", "as for a unique constraint"
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
        "its values are gone, and code that still runs names it", _DEPLOY_FIRST
    ),
    "ban-drop-table": _compatibility_rule(
        "its rows are gone, and code that still runs names it", _DEPLOY_FIRST
    ),
    "ban-truncate-cascade": LintRule(
        "empties other tables too", "an operation", small_table_severity=Severity.RED
    ),
    "ban-drop-default": _compatibility_rule(
        "code that does not know the column can no longer add rows", "db_default= instead of default="
    ),
    "ban-drop-not-null": _compatibility_rule(
        "code that still runs may not expect NULL", "deploy code that does, first"
    ),
    "syntax-error": _compatibility_rule(
        "cannot be read by the linter", f"look at it: {manage_command('sqlmigrate', 'APP', 'MIGRATION')}"
    ),
    # Ours.
    "change-of-many-rows": LintRule(
        "locks every row that it changes until the migration ends", "an operation, which works in batches"
    ),
    "python": _compatibility_rule(
        "what it does is not known before", "an operation, which can be previewed, paused and reverted"
    ),
    "no-way-back": _compatibility_rule("cannot be migrated back", "reverse_code= or reverse_sql="),
}
