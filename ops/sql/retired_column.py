"""The SQL that retires the old column of a change, takes that back, and drops the column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from psycopg import sql

from ops.sql.column_followers import grant_statements, recreate_statements
from ops.sql.column_names import Renames, rename_statements
from ops.sql.dual_write import DualWrite
from ops.sql.dual_write_triggers import create_statements
from ops.sql.key_move import KeyMove
from ops.sql.query import fetch_all
from ops.sql.watched_column import WatchedColumn
from ops.sql.watched_column_triggers import drop_statements


@dataclass(frozen=True)
class RetireMove:
    """The renaming of columns between two states of what is watched, ``before`` and ``after``.

    ``columns`` and ``names`` (of constraints and indexes) are pairs of an old and a new name, in the order in
    which they are renamed. Where another column takes the name of one of them, that comes first. ``kept`` are
    names that stay. ``key``: the primary key moves too.
    """

    before: WatchedColumn
    after: WatchedColumn
    columns: Renames
    names: Renames
    kept: frozenset[str] = frozenset()
    key: KeyMove | None = None

    def reversed(self) -> RetireMove:
        columns = _reversed(self.columns)
        key = self.key and replace(self.key, other=columns[-1][0])
        return RetireMove(self.after, self.before, columns, _reversed(self.names), self.kept, key)

    def statements(self, schema_editor: Any, ops_schema: str, last: Sequence[str] = ()) -> list[str]:
        """Return the statements, which belong in one transaction; ``last`` are among them.

        The catalogue is read before the table is locked.
        """
        table = self.before.table
        grants, drop, create = list[str](), list[str](), list[str]()
        if len(self.columns) > 1:
            (name, _), (other, _) = self.columns
            grants = grant_statements(schema_editor, table, name, other)
            drop, create = recreate_statements(schema_editor, table, name)
        others, key_before, key_after = list[str](), list[str](), list[str]()
        if self.key:
            others, key_before, key_after = self.key.statements(schema_editor.connection)
        quoted = schema_editor.quote_name(table)
        # Most players who lock two of the tables write a row that refers to the key, and then lock that row.
        return [
            f"LOCK TABLE {', '.join([*others, quoted])} IN ACCESS EXCLUSIVE MODE",
            *grants,
            *drop,
            *drop_statements(self.before),
            *key_before,
            *(
                f"ALTER TABLE {quoted} RENAME COLUMN {_identifier(before)} TO {_identifier(after)}"
                for before, after in self.columns
            ),
            *rename_statements(schema_editor, table, self.columns, self.names, self.kept),
            *key_after,
            *create_statements(self.after, ops_schema),
            *create,
            *last,
        ]


def alter_column_statement(table: str, column: str, action: str) -> str:
    """Return the statement that does ``action``, such as SET NOT NULL, to a column."""
    return f"ALTER TABLE {connection.ops.quote_name(table)} ALTER COLUMN {_identifier(column)} {action}"


def count_empty(schema_editor: Any, table: str, column: str) -> int:
    """Count the rows whose column is NULL."""
    query = f"SELECT count(*) FROM {schema_editor.quote_name(table)} WHERE {_identifier(column)} IS NULL"  # noqa: S608
    [(count,)] = fetch_all(query, using=schema_editor.connection)
    return int(count)


def count_lost(schema_editor: Any, dual_write: DualWrite) -> int:
    """Count the rows whose new value the old column does not have."""
    query = (
        f"SELECT count(*) FROM {schema_editor.quote_name(dual_write.table)}"  # noqa: S608
        f" WHERE {_identifier(dual_write.old)} IS NULL AND {_identifier(dual_write.new)} IS NOT NULL"
    )
    [(count,)] = fetch_all(query, using=schema_editor.connection)
    return int(count)


def set_statement(schema_editor: Any, table: str, column: str) -> str:
    """Return a statement for a person to fill in, which gives the column a value where it is NULL."""
    quoted, name = schema_editor.quote_name(table), _identifier(column)
    return f"UPDATE {quoted} SET {name} = VALUE WHERE {name} IS NULL"  # noqa: S608


def drop_column_statements(schema_editor: Any, column: WatchedColumn) -> list[str]:
    """Return the statements that drop the triggers, their functions and the old column."""
    quoted = schema_editor.quote_name(column.table)
    return [
        f"LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE",
        *drop_statements(column),
        f"ALTER TABLE {quoted} DROP COLUMN {_identifier(column.old)}",
    ]


def _reversed(pairs: Renames) -> Renames:
    return [(after, before) for before, after in reversed(pairs)]


def _identifier(name: str) -> str:
    return sql.Identifier(name).as_string()
