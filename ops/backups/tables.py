"""How many rows each table has."""

from __future__ import annotations

from typing import Any, Protocol

from psycopg import sql

# What pg_dump dumps the rows of: not temporary, not an extension's.
_DUMPED_TABLES_SQL = """
SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relpersistence <> 't' AND nspname <> 'information_schema' AND nspname !~ '^pg_'
    AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
ORDER BY 1, 2
"""
RowCounts = dict[str, int]


class Cursor(Protocol):
    def execute(self, query: Any) -> Any: ...
    def fetchall(self) -> Any: ...


def count_rows_by_table(cursor: Cursor) -> RowCounts:
    """Rows by table, ``public.cards``; no table is truncated until the transaction ends."""
    cursor.execute(_DUMPED_TABLES_SQL)
    names = [sql.Identifier(*found) for found in cursor.fetchall()]
    if not names:
        return {}
    counts = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, count(*) FROM {}").format(sql.Literal(name.as_string().replace('"', "")), name)
        for name in names
    )
    cursor.execute(
        sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.SQL(", ").join(names)).as_string()
    )
    cursor.execute(counts.as_string())
    return dict(cursor.fetchall())


def describe_count_differences(found: RowCounts, told: RowCounts) -> list[str]:
    """In words, table by table; empty where they are the same."""
    return [
        f"{name}: {_format_row_count(found.get(name))} instead of {_format_row_count(told.get(name))}"
        for name in sorted(found.keys() | told.keys())
        if found.get(name) != told.get(name)
    ]


def _format_row_count(count: int | None) -> str:
    return "no table" if count is None else f"{count:,} rows"
