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


def find_extension_schema(name: str) -> str | None:
    """Return the schema of an extension's objects; None where this database does not have the extension."""
    rows = fetch_all(
        "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = %s",
        name,
    )
    return str(rows[0][0]) if rows else None
