"""Why a statement of a migration is not safe while players play, and the safe way, in Django's words.

The names are Squawk's (https://squawkhq.com/docs/rules), but for the last ones, which are ours. What Squawk
says of style is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.preflight.finding import Light
from ops.typed import manage


@dataclass(frozen=True)
class Rule:
    """``big`` is its light on a big table, ``small`` on a small one, where the harm is over in a moment."""

    why: str
    instead: str
    big: Light = Light.RED
    small: Light = Light.YELLOW


_ONE_BY_ONE = "one of its own in a migration with atomic = False"
_NOT_VALID = "AddConstraintNotValid, then ValidateConstraint in the next migration"
_SLOWLY = "a new nullable column, a trigger that keeps it equal, a backfill, and only then NOT NULL"
_CODE_FIRST = "first deploy code that no longer uses it, and watch it for a day or two"


def _breaks(why: str, instead: str) -> Rule:
    """It is over in a moment on any table; what breaks is code that still runs."""
    return Rule(why, instead, big=Light.YELLOW)


RULES = {
    "require-concurrent-index-creation": Rule(
        "nobody writes the table while the index is built", f"AddIndexConcurrently, {_ONE_BY_ONE}"
    ),
    "require-concurrent-index-deletion": Rule(
        "waits for everybody, and everybody waits for it", f"RemoveIndexConcurrently, {_ONE_BY_ONE}"
    ),
    "require-concurrent-reindex": Rule(
        "nobody writes the table while the index is built", "REINDEX INDEX CONCURRENTLY"
    ),
    "ban-concurrent-index-creation-in-transaction": Rule(
        "CONCURRENTLY is refused inside a transaction", f"put it, {_ONE_BY_ONE}", small=Light.RED
    ),
    "changing-column-type": Rule("the table is rewritten, and nobody reads or writes it meanwhile", _SLOWLY),
    "adding-field-with-default": Rule(
        "the table is rewritten, and nobody reads or writes it meanwhile", "null=True, then a backfill"
    ),
    "adding-required-field": Rule(
        "fails where the table has rows, and code that does not know the column can add none",
        f"db_default=, or {_SLOWLY}",
        small=Light.RED,
    ),
    "adding-not-nullable-field": Rule(
        "nobody reads or writes the table while it is scanned for NULLs",
        f"a CheckConstraint that it is not null ({_NOT_VALID}): PostgreSQL then skips the scan",
    ),
    "constraint-missing-not-valid": Rule("nobody writes the table while every row is checked", _NOT_VALID),
    "adding-foreign-key-constraint": Rule(
        "nobody writes either table while every row is looked up",
        "db_constraint=False, then ADD CONSTRAINT ... NOT VALID and VALIDATE CONSTRAINT by RunSQL",
    ),
    "disallowed-unique-constraint": Rule(
        "nobody reads or writes the table while its index is built",
        "a unique index made CONCURRENTLY, then ADD CONSTRAINT ... UNIQUE USING INDEX by RunSQL",
    ),
    "adding-serial-primary-key-field": Rule(
        "nobody reads or writes the table while its index is built", "as for a unique constraint"
    ),
    "renaming-column": Rule(
        "code that still runs knows only the old name",
        "db_column=, or a new column beside it",
        small=Light.RED,
    ),
    "renaming-table": Rule("code that still runs knows only the old name", "Meta.db_table", small=Light.RED),
    "ban-drop-column": _breaks("its values are gone, and code that still runs names it", _CODE_FIRST),
    "ban-drop-table": _breaks("its rows are gone, and code that still runs names it", _CODE_FIRST),
    "ban-truncate-cascade": Rule("empties other tables too", "an operation", small=Light.RED),
    "ban-drop-default": _breaks(
        "code that does not know the column can no longer add rows", "db_default= instead of default="
    ),
    "ban-drop-not-null": _breaks("code that still runs may not expect NULL", "deploy code that does, first"),
    "syntax-error": _breaks(
        "cannot be read by the linter", f"look at it: {manage('sqlmigrate', 'APP', 'MIGRATION')}"
    ),
    # Ours.
    "change-of-many-rows": Rule(
        "locks every row that it changes until the migration ends", "an operation, which works in batches"
    ),
    "python": _breaks(
        "what it does is not known before", "an operation, which can be previewed, paused and reverted"
    ),
    "no-way-back": _breaks("cannot be migrated back", "reverse_code= or reverse_sql="),
}
