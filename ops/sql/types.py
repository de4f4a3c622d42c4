"""The types that columns have in the database, as PostgreSQL writes them: ``character varying(64)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection
from django.db.models import Field, Model

from ops.sql.query import fetch_all

# An enum, a domain or an extension's type may take other values by now under the same name.
_COLUMN_TYPES_SQL = """
SELECT attname, format_type(atttypid, atttypmod), typnamespace = 'pg_catalog'::regnamespace
FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
WHERE attrelid = %s::regclass AND attname = ANY(%s)
"""
_NOT_BUILTIN_SUFFIX = " *"


def read_column_types(model: type[Model], fields: Iterable[Field[Any, Any]]) -> dict[str, str]:
    """The types of the fields' columns, by column; with a star where one is none of PostgreSQL's own."""
    columns = [str(field.column) for field in fields]
    told = fetch_all(_COLUMN_TYPES_SQL, connection.ops.quote_name(model._meta.db_table), columns)
    return {column: kind if is_builtin else kind + _NOT_BUILTIN_SUFFIX for column, kind, is_builtin in told}


def find_changed_types(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """``{column: (type before, type now)}`` of the columns of now whose values may be told otherwise by now.

    Before it was kept, nobody knows: ``before`` is empty then.
    """
    changed = {column: (before.get(column, ""), kind) for column, kind in now.items()}
    return {
        column: (then.removesuffix(_NOT_BUILTIN_SUFFIX), kind.removesuffix(_NOT_BUILTIN_SUFFIX))
        for column, (then, kind) in changed.items()
        if then != kind or kind.endswith(_NOT_BUILTIN_SUFFIX)
    }
