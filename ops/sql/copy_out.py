"""Rows out of the database as JSON, by COPY: nothing is parsed, nothing held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import Model, QuerySet
from psycopg import sql

from ops.sql.compile import compile_select, identifier

# Note [JSON leaves as CSV]
# COPY's text format doubles every backslash, and so breaks JSON. Its CSV format quotes a field only where it
# holds the quote, the delimiter or a line's end: with U+0001 and U+0002, which JSON must escape, as it must
# line ends, it never does.
_COPY_SQL = (
    "COPY (SELECT row_to_json(exported) FROM (SELECT {columns} FROM ({rows}) AS found) AS exported)"
    " TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
)
# Minutes are nothing for an export, and whoever set these limits meant other statements.
_DISABLE_TIMEOUTS_SQL = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"


def begin_snapshot() -> tuple[str, str]:
    """Make ready the transaction; its time and its snapshot, as PostgreSQL names them."""
    with connection.cursor() as cursor:
        cursor.execute(_DISABLE_TIMEOUTS_SQL)
        cursor.execute("SELECT to_json(now())#>>'{}', pg_current_snapshot()::text")
        time, snapshot = cursor.fetchone()
    return time, snapshot


@contextmanager
def open_json_stream(rows: QuerySet[Any], columns: Mapping[str, str | None]) -> Iterator[Iterable[bytes]]:
    """Pieces of lines, each line one row as a JSON object. In a transaction; an error ends the COPY.

    ``columns`` computes some of them in SQL, and leaves out those that are None.
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
    chosen = [name for name in names if name in computed or name not in columns]
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.SQL(computed[name]), identifier(name))
        if name in computed
        else identifier(name)
        for name in chosen
    )
