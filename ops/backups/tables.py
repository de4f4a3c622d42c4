"""Row counts of the tables, and how they differ."""

from __future__ import annotations

from psycopg import sql

from ops.backups.server import Cursor
from ops.formatting import pluralize

# The tables whose rows pg_dump dumps: neither temporary nor of an extension.
_DUMPED_TABLES_SQL = """
SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relpersistence <> 't' AND nspname <> 'information_schema' AND nspname !~ '^pg_'
    AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
ORDER BY 1, 2
"""
RowCounts = dict[str, int]


def count_rows_by_table(cursor: Cursor) -> RowCounts:
    """Count the rows by table, ``public.cards``, and lock the tables in ACCESS SHARE mode."""
    cursor.execute(_DUMPED_TABLES_SQL)
    names = [sql.Identifier(*row) for row in cursor.fetchall()]
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


def describe_count_differences(actual: RowCounts, expected: RowCounts) -> list[str]:
    """Describe each table whose counts differ."""
    return [
        f"{name}: {_format_row_count(actual.get(name))} instead of {_format_row_count(expected.get(name))}"
        for name in sorted(actual.keys() | expected.keys())
        if actual.get(name) != expected.get(name)
    ]


def _format_row_count(count: int | None) -> str:
    return "no table" if count is None else pluralize(count, "row")
