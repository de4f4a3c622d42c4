"""COPY rows out of the database as JSON lines; Python neither parses nor buffers them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import Model, QuerySet
from psycopg import sql

from ops.sql.compile import compile_select, identifier

# Note [JSON leaves as CSV]
# COPY's text format doubles every backslash, which breaks JSON. Its CSV format quotes a field only where it
# contains the quote, the delimiter or a line end. With U+0001 and U+0002, which JSON must escape, as it must
# line ends, it never quotes.
_COPY_SQL = (
    "COPY (SELECT row_to_json(exported) FROM (SELECT {columns} FROM ({rows}) AS found) AS exported)"
    " TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
)
# An export takes minutes; these limits of the role are meant for the site's requests.
_DISABLE_TIMEOUTS_SQL = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"


def begin_snapshot() -> tuple[str, str]:
    """Disable the timeouts of the transaction; return its time (ISO 8601) and its ``pg_snapshot`` as text."""
    with connection.cursor() as cursor:
        cursor.execute(_DISABLE_TIMEOUTS_SQL)
        cursor.execute("SELECT to_json(now())#>>'{}', pg_current_snapshot()::text")
        time, snapshot = cursor.fetchone()
    return time, snapshot


@contextmanager
def open_json_stream(rows: QuerySet[Any], columns: Mapping[str, str | None]) -> Iterator[Iterable[bytes]]:
    """Yield chunks of bytes of JSON lines, one object for each row. Needs a transaction.

    ``columns`` maps a column to the SQL expression that is exported in its place, or to None to omit it.
    """
    compiled = compile_select(rows)
    if compiled is None:
        yield ()
        return
    statement = sql.SQL(_COPY_SQL).format(
        columns=_select_list(rows.model, columns), rows=sql.SQL(compiled.sql)
    )
    with (
        connection.wrap_database_errors,
        connection.connection.cursor() as cursor,  # Django's debug cursor cannot COPY.
        cursor.copy(statement, compiled.params or None) as copy,
    ):
        yield copy


def _select_list(model: type[Model], columns: Mapping[str, str | None]) -> sql.Composable:
    names = [str(field.column) for field in model._meta.concrete_fields]
    computed = {name: expression for name, expression in columns.items() if expression}
    exported = [name for name in names if name in computed or name not in columns]
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.SQL(computed[name]), identifier(name))
        if name in computed
        else identifier(name)
        for name in exported
    )
