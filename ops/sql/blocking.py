"""Who holds a row that the engine could not have."""

from __future__ import annotations

from django.db import connection
from django.db.models import Model
from psycopg import sql

from ops.sql.compile import identifier, type_name

# A row's xmax is the transaction that locked it last. Several at once share a multixact, whose number is no
# backend's: then nobody is found.
_BLOCKING_SESSION_SQL = """
SELECT pid, coalesce(nullif(application_name, ''), usename), state, extract(epoch FROM now() - xact_start)
FROM pg_stat_activity
WHERE backend_xid = (SELECT xmax FROM {table} WHERE {pk} = %s::{type})
"""


def describe_blocking_session(model: type[Model], key: str) -> str:
    """The backend that holds the row, in words."""
    meta = model._meta
    statement = sql.SQL(_BLOCKING_SESSION_SQL).format(
        table=identifier(meta.db_table),
        pk=identifier(meta.pk.column),
        type=sql.SQL(type_name(meta.pk)),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [key])
        found = cursor.fetchone()
    if found is None:
        return "locked by another transaction"
    pid, name, state, seconds = found
    return f"locked for {seconds:.0f} s by process {pid} ({name}, {state})"
