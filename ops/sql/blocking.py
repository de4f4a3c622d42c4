"""Which session has locked a row that the engine could not lock."""

from __future__ import annotations

from django.db import connection
from django.db.models import Model
from psycopg import sql

from ops.sql.compile import identifier, type_name

# A row's xmax is the transaction that locked it last. Several at once share a multixact, whose number no
# backend has: then none is found.
_BLOCKING_SESSION_SQL = """
SELECT pid, coalesce(nullif(application_name, ''), usename), state, extract(epoch FROM now() - xact_start)
FROM pg_stat_activity
WHERE backend_xid = (SELECT xmax FROM {table} WHERE {pk} = %s::{type})
"""


def describe_blocking_session(model: type[Model], key: str) -> str:
    """Describe the backend that has locked the row: ``locked for 3 s by process 4711 (psql, idle)``."""
    meta = model._meta
    statement = sql.SQL(_BLOCKING_SESSION_SQL).format(
        table=identifier(meta.db_table),
        pk=identifier(meta.pk.column),
        type=sql.SQL(type_name(meta.pk)),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [key])
        session = cursor.fetchone()
    if session is None:
        return "locked by another transaction"
    pid, name, state, seconds = session
    return f"locked for {seconds:.0f} s by process {pid} ({name}, {state})"
