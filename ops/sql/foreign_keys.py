"""Foreign keys as they are in the database, and the same ones of or to another column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from ops.sql.column_names import suffixed_name
from ops.sql.dual_write import DualWrite
from ops.sql.query import fetch_all

NEW_SUFFIX = "__new"
_FOREIGN_KEYS_SQL = """
SELECT conname, conrelid::regclass::text, conrelid = confrelid, relkind = 'p', convalidated, names,
    cardinality(conkey), replace(substr(definition, length(head) + 1), ' NOT VALID', ''), others,
    confrelid::regclass::text
FROM pg_constraint c JOIN pg_class ON pg_class.oid = conrelid, pg_get_constraintdef(c.oid) AS definition,
    LATERAL (SELECT string_agg(quote_ident(attname), ', ' ORDER BY n)
        FROM unnest(conkey) WITH ORDINALITY AS k (number, n)
        JOIN pg_attribute ON attrelid = conrelid AND attnum = number) AS own (names),
    LATERAL (SELECT string_agg(quote_ident(attname), ', ' ORDER BY n)
        FROM unnest(confkey) WITH ORDINALITY AS k (number, n)
        JOIN pg_attribute ON attrelid = confrelid AND attnum = number) AS target (others),
    LATERAL (SELECT format('FOREIGN KEY (%%s) REFERENCES %%s(%%s)', names, confrelid::regclass, others))
        AS written (head)
WHERE contype = 'f' AND conparentid = 0
"""
_REFERRING_SQL = f"""
{_FOREIGN_KEYS_SQL} AND confrelid = to_regclass(%s) AND EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = confrelid AND attnum = ANY(confkey) AND attname = %s)
ORDER BY 2, 1
"""
_OWN_SQL = f"""
{_FOREIGN_KEYS_SQL} AND conrelid = to_regclass(%s) AND conkey = (SELECT ARRAY[attnum] FROM pg_attribute
    WHERE attrelid = conrelid AND attname = %s)
ORDER BY 1
"""  # noqa: S608
# Of the foreign keys that Django makes.
DJANGO_OPTIONS = " DEFERRABLE INITIALLY DEFERRED"


@dataclass(frozen=True)
class ForeignKeyConstraint:
    """A foreign key; tables and columns are quoted, and ``table`` and ``columns`` are those that refer.

    ``is_own``: the table refers to itself. ``options`` are what follows the columns, such as ON DELETE.
    """

    name: str
    table: str
    is_own: bool
    is_partitioned: bool
    is_valid: bool
    columns: str
    count: int
    options: str
    referred_columns: str
    referred_table: str

    @property
    def new_name(self) -> str:
        """The name of its counterpart until the step retire."""
        return suffixed_name(self.name, NEW_SUFFIX)

    def add(self, name: str, table: str, column: str, *, is_checked: bool) -> str:
        """Return the statement that adds it, to refer to the quoted table and this column of it.

        With ``is_checked`` the rows that are there are checked too.
        """
        valid = "" if is_checked else " NOT VALID"
        return (
            f"ALTER TABLE {self.table} ADD CONSTRAINT {_quote(name)} FOREIGN KEY ({self.columns})"
            f" REFERENCES {table} ({_quote(column)}){self.options}{valid}"
        )

    def replace_options(self, options: str) -> list[str]:
        """Return the statements that make it again with other options."""
        return [
            self.drop(),
            f"ALTER TABLE {self.table} ADD CONSTRAINT {_quote(self.name)} FOREIGN KEY ({self.columns})"
            f" REFERENCES {self.referred_table} ({self.referred_columns}){options}",
        ]

    def drop(self) -> str:
        return f"ALTER TABLE {self.table} DROP CONSTRAINT {_quote(self.name)}"

    def rename(self, name: str) -> str:
        return f"ALTER TABLE {self.table} RENAME CONSTRAINT {_quote(self.name)} TO {_quote(name)}"

    def validate(self, name: str) -> str:
        return f"ALTER TABLE {self.table} VALIDATE CONSTRAINT {_quote(name)}"

    def find_like(self, others: Sequence[ForeignKeyConstraint]) -> ForeignKeyConstraint | None:
        """Return the one of the same columns."""
        same = (each for each in others if (each.table, each.columns) == (self.table, self.columns))
        return next(same, None)


def read_referring_keys(using: Any, table: str, column: str) -> list[ForeignKeyConstraint]:
    """Return the foreign keys of any table that refer to the column."""
    return _read(using, _REFERRING_SQL, table, column)


def read_own_keys(using: Any, table: str, column: str) -> list[ForeignKeyConstraint]:
    """Return the foreign keys of the column alone."""
    return _read(using, _OWN_SQL, table, column)


def follow_statements(using: Any, dual_write: DualWrite) -> list[str]:
    """Return what gives the foreign key of the new column the options of the old one's, if they differ."""
    old, new = (read_own_keys(using, dual_write.table, name) for name in (dual_write.old, dual_write.new))
    if not old or not new or old[0].options == new[0].options:
        return []
    return new[0].replace_options(old[0].options)


def _read(using: Any, query: str, table: str, column: str) -> list[ForeignKeyConstraint]:
    rows = fetch_all(query, using.ops.quote_name(table), column, using=using)
    return [ForeignKeyConstraint(*row) for row in rows]


def _quote(name: str) -> str:
    return sql.Identifier(name).as_string()
