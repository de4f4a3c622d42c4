"""Queries of the catalogues and statistics of PostgreSQL."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy


def fetch_all(
    statement: str, *params: Any, using: BaseDatabaseWrapper | ConnectionProxy[Any] = connection
) -> list[tuple[Any, ...]]:
    """Execute a SELECT over the catalogues or statistics and return its rows."""
    with using.cursor() as cursor:
        cursor.execute(statement, params or None)
        return list(cursor.fetchall())
