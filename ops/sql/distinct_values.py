"""The distinct values of an indexed column, found by one probe of the index for each value."""

from __future__ import annotations

from django.db import connection
from django.db.models import Model
from psycopg import sql

from ops.sql.compile import identifier


def list_distinct_values(model: type[Model], column: str, limit: int) -> list[str]:
    """Return the first ``limit`` values in their order: SELECT DISTINCT would read the whole index."""
    names = {"table": identifier(model._meta.db_table), "column": identifier(column)}
    first = sql.SQL("SELECT {column} FROM {table} ORDER BY {column} LIMIT 1").format(**names)
    greater = sql.SQL(
        "SELECT {column} FROM {table} WHERE {column} > found.value ORDER BY {column} LIMIT 1"
    ).format(**names)
    statement = sql.SQL(
        "WITH RECURSIVE found(value) AS (({first}) UNION ALL"
        " SELECT ({greater}) FROM found WHERE found.value IS NOT NULL)"
        " SELECT value FROM found WHERE value IS NOT NULL LIMIT %s"
    ).format(first=first, greater=greater)
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [limit])
        return [value for (value,) in cursor.fetchall()]
