"""Keys of rows: as text, as one parameter of a statement, or in the table of a run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connection
from django.db.models import Field, OuterRef, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Collate
from psycopg import sql

from ops.models import Key, Run
from ops.sql.compile import compile_select, identifier, type_name


def key_text() -> Collate:
    """The key of the outer row as text, as audit rows, failures and keys name it.

    Of the database's own collation, as they are: compared in that of the key's column, no index would serve.
    """
    return Collate(Cast(OuterRef("pk"), TextField()), "default")


def among(keys: Collection[str], field: Field[Any, Any]) -> RawSQL:
    """The keys for ``pk__in``, as one array: a parameter for each costs seconds where there are many."""
    statement = sql.SQL("SELECT unnest(%s::{}[])").format(sql.SQL(type_name(field)))
    return RawSQL(statement.as_string(), (list(keys),))  # noqa: S611


def store_keys(run: Run, rows: QuerySet[Any]) -> None:
    """Make the queryset's rows, as they are now, the keys of the run: they do not pass through Python."""
    chosen = compile_select(rows.order_by().values("pk"))
    if chosen is None:
        return
    statement = sql.SQL(
        "INSERT INTO {keys} (run_id, object_id) SELECT DISTINCT %s::bigint, chosen.key::text"
        " FROM ({chosen}) AS chosen (key)"
    ).format(keys=identifier(Key._meta.db_table), chosen=sql.SQL(chosen.sql))
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [run.pk, *chosen.params])
