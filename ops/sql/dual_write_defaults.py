"""What a dual write makes of rows without values: of their default, and of NULL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field
from psycopg import ClientCursor, sql

from ops.sql.dual_write import DualWrite
from ops.sql.query import fetch_all


def compile_default(using: BaseDatabaseWrapper, field: Field[Any, Any]) -> str | None:
    """Return the SQL of the field's ``db_default``, or None."""
    if not field.has_db_default():
        return None
    text, params = using.schema_editor(collect_sql=True).db_default_sql(field)
    with using.cursor():  # connects
        return ClientCursor(using.connection).mogrify(text, params)


def compile_python_default(using: BaseDatabaseWrapper, field: Field[Any, Any]) -> str | None:
    """Return the SQL of the value that Django writes by the field's ``default``; None if it may vary."""
    if not field.has_default() or (callable(field.default) and field.default not in (list, dict)):
        return None
    with using.cursor():  # connects
        value = field.get_db_prep_save(field.get_default(), using)
        return ClientCursor(using.connection).mogrify("%s", [value])


def convert_default(dual_write: DualWrite, default: str | None) -> str | None:
    """Return a default of the new column as the old column would have it, or None."""
    if default is None or dual_write.to_old is None:
        return None
    new = sql.SQL("({})").format(sql.SQL(default))
    old = sql.SQL("NULL")
    return sql.SQL(dual_write.to_old).format(new=new, old=old).as_string()


def is_null_for_null(dual_write: DualWrite, types: Mapping[str, str]) -> bool:
    """Whether the new value of a row without any value is none; ``types`` are by column."""
    columns = {"old": sql.Identifier("new", dual_write.old), "new": sql.Identifier("new", dual_write.new)}
    row = sql.SQL(", ").join(
        sql.SQL("NULL::{} AS {}").format(sql.SQL(kind), sql.Identifier(name)) for name, kind in types.items()
    )
    value = sql.SQL(dual_write.to_new).format(**columns)
    statement = sql.SQL("SELECT ({}) IS NULL FROM (SELECT {}) AS new").format(value, row)
    try:
        with transaction.atomic():
            [(is_null,)] = fetch_all(statement.as_string())
    except DatabaseError:
        return False  # the expression itself refuses such a row
    return bool(is_null)
