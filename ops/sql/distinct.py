"""The values of an indexed column, of which no row is read but one a value."""

from __future__ import annotations

from django.db import connection
from django.db.models import Model

from ops.sql.query import fetch_all

_SQL = """
WITH RECURSIVE found (value) AS (
    SELECT min({column}) FROM {table}
    UNION ALL
    SELECT (SELECT min({column}) FROM {table} WHERE {column} > found.value)
    FROM found WHERE value IS NOT NULL)
SELECT value FROM found WHERE value IS NOT NULL LIMIT %s
"""


def list_distinct(model: type[Model], column: str, limit: int) -> list[str]:
    """List the first values of a text column that an index begins with, by a loose scan of the index."""
    quote = connection.ops.quote_name
    statement = _SQL.format(table=quote(model._meta.db_table), column=quote(column))
    return [value for (value,) in fetch_all(statement, limit)]
