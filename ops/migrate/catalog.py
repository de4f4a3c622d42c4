"""Facts of the database that decide how a statement is run: tables, their sizes, columns and indexes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.migrate import rules
from ops.migrate.sql_reader import tokenize
from ops.sql.query import fetch_all
from ops.sqlstates import RETRYABLE, sqlstate

NOT_NULL_CONSTRAINTS_FROM = 180000
# Without those of PostgreSQL itself.
_TABLES_SQL = """
SELECT oid FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'm') AND relpersistence <> 't'
"""
_TABLE_SQL = """
SELECT t.oid, t.relname, t.relkind, (SELECT coalesce(sum(pg_table_size(relid)), pg_table_size(t.oid))
    FROM pg_partition_tree(t.oid) WHERE isleaf)::bigint
FROM pg_class c LEFT JOIN pg_index i ON indexrelid = c.oid
    JOIN pg_class t ON t.oid = coalesce(indrelid, c.oid)
WHERE c.oid = to_regclass(%s) AND t.relkind IN ('r', 'p', 'm')
"""
_COLUMN_SQL = """
SELECT attnotnull, EXISTS (SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype = 'c'
        AND attnum = ANY (conkey)),
    (SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = attrelid AND contype = 'n'
        AND conkey = ARRAY[attnum] AND NOT convalidated)
FROM pg_attribute WHERE attrelid = %s AND attname = %s AND NOT attisdropped
"""
_CHANGE_SQL = """
SELECT FROM pg_depend JOIN pg_trigger ON classid = 'pg_trigger'::regclass AND objid = pg_trigger.oid
    JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
WHERE refobjid = %s AND attname = %s AND tgname ~ '^(dual_write|column_watch)_'
"""
_NAMES_SQL = """
SELECT conname FROM pg_constraint WHERE conrelid = %s
UNION SELECT relname FROM pg_class WHERE relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = %s)
"""
_FILES_SQL = """
SELECT array_agg(pg_relation_filenode(oid) ORDER BY oid) FROM (
    SELECT 'ops_probe'::regclass::oid UNION ALL
    SELECT indexrelid FROM pg_index WHERE indrelid = 'ops_probe'::regclass) AS files (oid)
"""
_NAME = re.compile(r'(?:(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)(?:\.(?!\Z)|\Z)){1,3}')
_MAX_NAME_BYTES = 63


@dataclass(frozen=True)
class Table:
    """``is_live``: it was there before, so that players may use it."""

    oid: int
    name: str
    is_partitioned: bool
    bytes: int
    is_live: bool

    @property
    def is_large(self) -> bool:
        return self.is_live and self.bytes >= rules.LARGE_TABLE_BYTES


@dataclass(frozen=True)
class Column:
    """``unvalidated`` is the name of a NOT NULL constraint that is NOT VALID yet."""

    is_not_null: bool
    has_check: bool
    unvalidated: str | None


@dataclass
class Catalog:
    """The catalogue of one database; live tables are those that exist when this is made.

    ``is_looking``: whether a migration is only planned, so that no lock is held while rows are looked at;
    ``without_null`` are the columns, by table, where no NULL was found then.
    """

    connection: BaseDatabaseWrapper
    live: frozenset[int] = field(init=False)
    without_null: set[tuple[int, str]] = field(init=False, default_factory=set)
    is_looking: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.live = frozenset(oid for (oid,) in fetch_all(_TABLES_SQL, using=self.connection))

    @property
    def has_not_null_constraints(self) -> bool:
        """Whether a NOT NULL can be NOT VALID."""
        version: int = self.connection.pg_version  # type: ignore[attr-defined]
        return version >= NOT_NULL_CONSTRAINTS_FROM

    def table(self, name: str) -> Table | None:
        """Return the table of this name, or whose index has it, as SQL writes it; None if there is none."""
        if not _NAME.fullmatch(name):  # to_regclass would raise
            return None
        rows = fetch_all(_TABLE_SQL, name, using=self.connection)
        if not rows:
            return None
        oid, relname, kind, size = rows[0]
        return Table(oid, relname, kind == "p", size, oid in self.live)

    def is_in_change(self, table: Table, column: str) -> bool:
        """Whether the triggers of a column change use the column, which is named as it is."""
        return bool(fetch_all(_CHANGE_SQL, table.oid, column, using=self.connection))

    def column(self, table: Table, name: str) -> Column | None:
        rows = fetch_all(_COLUMN_SQL, table.oid, unquote(name), using=self.connection)
        return Column(*rows[0]) if rows else None

    def look_for_null(self, table: Table, name: str, column: str) -> None:
        """Look at every row, outside of any transaction that holds a lock: ``without_null`` remembers it."""
        with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(f"SELECT EXISTS (SELECT FROM {name} WHERE {column} IS NULL)")  # noqa: S608
            if cursor.fetchone() == (False,):
                self.without_null.add((table.oid, unquote(column)))

    def free_name(self, table: Table, column: str, label: str) -> str:
        """Return the name, quoted, that PostgreSQL would choose for a constraint of the column."""
        taken = {name for (name,) in fetch_all(_NAMES_SQL, table.oid, table.oid, using=self.connection)}
        number = 0
        while True:
            name = _shorten(table.name, unquote(column), f"{label}{number or ''}")
            if name not in taken:
                return self.connection.ops.quote_name(name)
            number += 1

    def rewrites(self, table: Table, name: str, action: str) -> bool:
        """Whether ALTER TABLE with this action would rewrite the table or build an index again.

        An empty copy of the table is altered, in a transaction that is rolled back: PostgreSQL decides it by
        the definitions alone. False if it fails, as the statement itself will.
        """
        included = "GENERATED" if "EXPRESSION" in action.upper() else "INDEXES"
        try:
            with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
                cursor.execute(f"CREATE UNLOGGED TABLE ops_probe (LIKE {name} INCLUDING {included})")
                cursor.execute(_FILES_SQL)
                before = cursor.fetchone()
                cursor.execute(f"ALTER TABLE ops_probe {action}")
                cursor.execute(_FILES_SQL)
                after = cursor.fetchone()
                transaction.set_rollback(True, using=self.connection.alias)
        except DatabaseError as exc:
            if sqlstate(exc) in RETRYABLE:
                raise
            return False
        return bool(before != after)


def unquote(name: str) -> str:
    """Return the last part of a name as the catalogue has it."""
    last = tokenize(name)[-1].text
    return last[1:-1].replace('""', '"') if last.startswith('"') else last.lower()


def _shorten(table: str, column: str, label: str) -> str:
    """Join the three as PostgreSQL does: the longer of the first two is cut until all fit."""
    parts = [table.encode(), column.encode()]
    while sum(map(len, parts)) + len(label) + 2 > _MAX_NAME_BYTES:
        longer = 0 if len(parts[0]) > len(parts[1]) else 1
        parts[longer] = parts[longer][:-1]
    return "_".join((*(part.decode(errors="ignore") for part in parts), label))
