"""The types that columns have in the database, as PostgreSQL writes them: ``character varying(64)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection
from django.db.models import Field, Model

from ops.sql.ask import ask

# An enum, a domain or an extension's type may take other values by now under the same name.
_TYPES = """
SELECT attname, format_type(atttypid, atttypmod), typnamespace = 'pg_catalog'::regnamespace
FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
WHERE attrelid = %s::regclass AND attname = ANY(%s)
"""
_OWN = " *"


def types_of(model: type[Model], fields: Iterable[Field[Any, Any]]) -> dict[str, str]:
    """The types of the fields' columns, by column; with a star where one is none of PostgreSQL's own."""
    columns = [str(field.column) for field in fields]
    told = ask(_TYPES, connection.ops.quote_name(model._meta.db_table), columns)
    return {column: kind if is_builtin else kind + _OWN for column, kind, is_builtin in told}


def changed_types(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """``{column: (type before, type now)}`` of the columns of now whose values may be told otherwise by now.

    Before it was kept, nobody knows: ``before`` is empty then.
    """
    changed = {column: (before.get(column, ""), kind) for column, kind in now.items()}
    return {
        column: (then.removesuffix(_OWN), kind.removesuffix(_OWN))
        for column, (then, kind) in changed.items()
        if then != kind or kind.endswith(_OWN)
    }
