"""Asking the server about itself."""

from __future__ import annotations

from typing import Any

from django.db import connection


def fetch_all(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    """The rows of a SELECT over the catalogues and statistics of PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return list(cursor.fetchall())
