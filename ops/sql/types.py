"""The types of columns in the database, as PostgreSQL names them: ``character varying(64)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection
from django.db.models import Field, Model

from ops.sql.query import fetch_all

# An enum, a domain or an extension's type may have changed since, under the same name: it is marked.
_COLUMN_TYPES_SQL = """
SELECT attname, format_type(atttypid, atttypmod), typnamespace = 'pg_catalog'::regnamespace
FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
WHERE attrelid = %s::regclass AND attname = ANY(%s)
"""
_NOT_BUILTIN_SUFFIX = " *"


def read_column_types(model: type[Model], fields: Iterable[Field[Any, Any]]) -> dict[str, str]:
    """Return ``{column: type}``; a type that is not built into PostgreSQL is marked with a star."""
    columns = [str(field.column) for field in fields]
    rows = fetch_all(_COLUMN_TYPES_SQL, connection.ops.quote_name(model._meta.db_table), columns)
    return {column: kind if is_builtin else kind + _NOT_BUILTIN_SUFFIX for column, kind, is_builtin in rows}


def find_changed_types(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return ``{column: (old type, new type)}`` of the columns whose values may have another text by now.

    ``before`` is empty for runs that did not record the types: every column counts as changed then.
    """
    changed = {column: (before.get(column, ""), kind) for column, kind in now.items()}
    return {
        column: (old.removesuffix(_NOT_BUILTIN_SUFFIX), kind.removesuffix(_NOT_BUILTIN_SUFFIX))
        for column, (old, kind) in changed.items()
        if old != kind or kind.endswith(_NOT_BUILTIN_SUFFIX)
    }
