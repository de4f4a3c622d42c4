"""Keys of rows: as text, or as one array parameter of a statement."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Field, OuterRef, TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Collate
from psycopg import sql

from ops.sql.compile import type_name


def outer_pk_text() -> Collate:
    """The key of the outer row as text, as in audit rows, failures and lists of keys.

    In the database's own collation, as theirs: compared in that of the key's column, no index could be used.
    """
    return Collate(Cast(OuterRef("pk"), TextField()), "default")


def keys_as_array(keys: Collection[str], field: Field[Any, Any]) -> RawSQL:
    """The keys for ``pk__in``, as one array: with one parameter each, many keys would cost seconds."""
    statement = sql.SQL("SELECT unnest(%s::{}[])").format(sql.SQL(type_name(field)))
    return RawSQL(statement.as_string(), (list(keys),))  # noqa: S611
