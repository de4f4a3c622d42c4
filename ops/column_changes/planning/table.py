"""The table of a column change as it is in the database, and what depends on its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Field

from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.sql.dual_write import DualWrite
from ops.sql.query import fetch_all
from ops.sql.watched_column import WatchedColumn

_COLUMNS_SQL = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
    pg_get_expr(adbin, adrelid), nullif(collname, 'default')
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    LEFT JOIN pg_collation c ON c.oid = attcollation
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped
"""
# What pg_identify_object tells is not translated, as pg_describe_object is.
_DEPENDENTS_SQL = """
SELECT attname, (pg_identify_object(d.classid, d.objid, d.objsubid)).type,
    (pg_identify_object(d.classid, d.objid, d.objsubid)).identity, d.objid
FROM pg_depend d JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
    LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
WHERE refclassid = 'pg_class'::regclass AND refobjid = %s AND attname = ANY(%s)
    AND (adnum IS NULL OR adnum <> attnum)
GROUP BY 1, 2, 3, 4 ORDER BY 2, 3
"""
# tgtype holds bits: 1 is FOR EACH ROW, 2 BEFORE. The arguments of a trigger end in a zero byte each.
_TRIGGERS_SQL = """
SELECT tgname, proname, tgtype & 3 = 3, ARRAY(SELECT attname::text FROM pg_attribute
    WHERE attrelid = tgrelid AND attnum = ANY(tgattr))
FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid
WHERE tgrelid = %s AND NOT tgisinternal AND tgname <> ALL(%s) AND (prosrc ~* %s
    OR replace(encode(tgargs, 'escape'), '\\000', ' ') ~* %s OR t.oid = ANY(%s::oid[]))
ORDER BY tgname
"""


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    is_not_null: bool
    identity: str
    generated: str
    default: str | None
    collation: str | None  # None is the default collation of the database


@dataclass(frozen=True)
class Dependent:
    """An object that names a column; ``kind`` and ``name`` are those of pg_identify_object."""

    column: str
    kind: str
    name: str
    oid: int


@dataclass(frozen=True)
class WatchedTable:
    """The table of a change, and its old column, which the change watches."""

    change: type[BaseColumnChange]
    column: WatchedColumn
    oid: int
    columns: dict[str, Column] = field(default_factory=dict)
    dependents: list[Dependent] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The table's name as a person reads it, with its schema where the model names one."""
        return self.column.table.replace('"', "")

    @property
    def short_name(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def old(self) -> str:
        return self.column.old

    @property
    def replaced(self) -> list[str]:
        """The columns of the change."""
        return [self.old]

    @property
    def needed(self) -> list[str]:
        """The columns that have to be there before."""
        return [self.old]

    @property
    def used(self) -> list[str]:
        """The columns that the triggers read or write."""
        return self.replaced

    @property
    def advice(self) -> str:
        """What to let others do that use the old column."""
        return f"do without {self.old}"

    def depending_on(self, column: str, *kinds: str) -> Iterator[Dependent]:
        return (each for each in self.dependents if each.column == column and each.kind in kinds)

    def list_triggers(self, columns: Sequence[str]) -> list[tuple[str, str, bool, list[str]]]:
        """Return the triggers of others that name one of the columns.

        Each with its function, whether it is BEFORE and FOR EACH ROW, and the columns of UPDATE OF.
        """
        own = [self.column.trigger_prefix + part for part in self.column.trigger_parts]
        pattern = name_pattern(columns)
        watching = [each.oid for column in columns for each in self.depending_on(column, "trigger")]
        return self.query(_TRIGGERS_SQL, own, pattern, pattern, watching)

    def query(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """Execute a query whose first parameter is the table's OID."""
        return fetch_all(statement, self.oid, *params)


@dataclass(frozen=True)
class ChangedTable(WatchedTable):
    """The table of a change from one column to another."""

    change: type[ColumnChange]
    column: DualWrite

    @property
    def dual_write(self) -> DualWrite:
        return self.column

    @property
    def new(self) -> str:
        return self.column.new

    @property
    def replaced(self) -> list[str]:
        return [self.old, self.new]

    @property
    def needed(self) -> list[str]:
        return [self.old, *self.column.sources]

    @property
    def used(self) -> list[str]:
        return [*self.replaced, *self.column.sources]

    @property
    def advice(self) -> str:
        return f"use {self.new}"


def read_table(change: type[ColumnChange], dual_write: DualWrite) -> ChangedTable | None:
    """Read the table; None if this database does not have it."""
    used = [dual_write.old, dual_write.new, *dual_write.sources]
    parts = _read_parts(dual_write, used)
    return parts and ChangedTable(change, dual_write, *parts)


def read_watched_table(change: type[BaseColumnChange], column: WatchedColumn) -> WatchedTable | None:
    """Read the table; None if this database does not have it."""
    parts = _read_parts(column, [column.old])
    return parts and WatchedTable(change, column, *parts)


def _read_parts(
    column: WatchedColumn, used: list[str]
) -> tuple[int, dict[str, Column], list[Dependent]] | None:
    [(oid,)] = fetch_all("SELECT to_regclass(%s)::oid", connection.ops.quote_name(column.table))
    if oid is None:
        return None
    columns = {name: Column(name, *rest) for name, *rest in fetch_all(_COLUMNS_SQL, oid)}
    return oid, columns, [Dependent(*row) for row in fetch_all(_DEPENDENTS_SQL, oid, used)]


def column_type(table: str, column: str, field: Field[Any, Any]) -> str:
    """Return the type of the column in the database; that of the model if it is not there yet.

    A foreign key column has the type that the key had when it was made.
    """
    query = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(%s)"
    rows = fetch_all(f"{query} AND attname = %s", connection.ops.quote_name(table), column)
    return str(rows[0][0] if rows else field.db_type(connection))


def name_pattern(names: Iterable[str]) -> str:
    """Return a regular expression of PostgreSQL for texts that name one of the columns."""
    return rf"(^|[^[:alnum:]_$])({'|'.join(map(re.escape, names))})($|[^[:alnum:]_$])"
