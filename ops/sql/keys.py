"""The keys of a run whose rows were chosen by a queryset, stored without passing through Python."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import QuerySet
from psycopg import sql

from ops.models import Key, Run
from ops.sql.compile import compile_select, identifier


def store_keys(run: Run, rows: QuerySet[Any]) -> None:
    """Make the queryset's rows, as they are now, the keys of the run."""
    chosen = compile_select(rows.order_by().values("pk"))
    if chosen is None:
        return
    statement = sql.SQL(
        "INSERT INTO {keys} (run_id, object_id) SELECT DISTINCT %s::bigint, chosen.key::text"
        " FROM ({chosen}) AS chosen (key)"
    ).format(keys=identifier(Key._meta.db_table), chosen=sql.SQL(chosen.sql))
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [run.pk, *chosen.params])
