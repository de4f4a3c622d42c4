"""The default that a dual write gives to a new row which leaves both columns out."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field
from psycopg import ClientCursor, sql

from ops.sql.dual_write import DualWrite


def compile_default(using: BaseDatabaseWrapper, field: Field[Any, Any]) -> str | None:
    """Return the SQL of the field's ``db_default``, or None."""
    if not field.has_db_default():
        return None
    text, params = using.schema_editor(collect_sql=True).db_default_sql(field)
    with using.cursor():  # connects
        return ClientCursor(using.connection).mogrify(text, params)


def convert_default(dual_write: DualWrite, default: str | None) -> str | None:
    """Return a default of the new column as the old column would have it, or None."""
    if default is None or dual_write.to_old is None:
        return None
    new = sql.SQL("({})").format(sql.SQL(default))
    old = sql.SQL("NULL")
    return sql.SQL(dual_write.to_old).format(new=new, old=old).as_string()
