"""Queries of the catalogues and statistics of PostgreSQL."""

from __future__ import annotations

from typing import Any

from django.db import connection


def fetch_all(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    """Execute a SELECT over the catalogues or statistics and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return list(cursor.fetchall())
