"""COPY rows out of the database as JSON lines or CSV; Python neither parses nor buffers them.

Rows come in blocks, lists of chunks of which each is a row: COPY delivers each row by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import CharField, DateTimeField, Field, Model, QuerySet, TextField
from psycopg import sql

from ops.csv_cells import FORMULA_PATTERN, MARK, format_rows
from ops.sql.compile import compile_select, identifier, is_json
from ops.sql.query import fetch_all

# Note [JSON leaves as CSV]
# COPY's text format doubles every backslash, which breaks JSON. Its CSV format quotes a field only where it
# contains the quote, the delimiter or a line end. With U+0001 and U+0002, which JSON must escape, as it must
# line ends, it never quotes.
_JSON_COPY_SQL = (
    "COPY (SELECT row_to_json(exported) FROM (SELECT {columns} FROM ({rows}) AS found) AS exported)"
    " TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
)
_CSV_COPY_SQL = (
    "COPY (SELECT {cells} FROM (SELECT {columns} FROM ({rows}) AS found) AS exported) TO STDOUT (FORMAT csv)"
)
# An export takes minutes; these limits of the role are meant for the site's requests.
_DISABLE_TIMEOUTS_SQL = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_BLOCK_SIZE = 1 << 16  # bytes


def disable_timeouts() -> None:
    """Disable the timeouts of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_DISABLE_TIMEOUTS_SQL)


def read_snapshot() -> tuple[str, str]:
    """Return the time of the transaction (ISO 8601), and its ``pg_snapshot`` as text."""
    [(time, snapshot)] = fetch_all("SELECT to_json(now())#>>'{}', pg_current_snapshot()::text")
    return time, snapshot


def export_snapshot() -> str:
    """Return the name by which other transactions import this one's snapshot, while it is open."""
    [(name,)] = fetch_all("SELECT pg_export_snapshot()")
    return str(name)


@contextmanager
def open_json_stream(
    rows: QuerySet[Any], columns: Mapping[str, str | None]
) -> Iterator[Iterable[list[bytes]]]:
    """Yield blocks of JSON lines, one object for each row. Needs a transaction.

    ``columns`` maps a column to the SQL expression that is exported in its place, or to None to omit it.
    """
    with _open_stream(_JSON_COPY_SQL, rows, columns) as blocks:
        yield blocks


@contextmanager
def open_csv_stream(
    rows: QuerySet[Any], columns: Mapping[str, str | None]
) -> Iterator[Iterable[list[bytes]]]:
    """Yield blocks of lines of CSV, one for each row, without the header. Needs a transaction.

    Lists and JSON are JSON; times are ISO 8601; NULL is an empty cell. ``columns`` as for JSON.
    """
    cells = sql.SQL(", ").join(map(_cell_sql, _exported_fields(rows.model, columns)))
    with _open_stream(_CSV_COPY_SQL, rows, columns, cells=cells) as blocks:
        yield blocks


def csv_header(model: type[Model], columns: Mapping[str, str | None]) -> bytes:
    """Return the line with the names of the columns; ``columns`` as for a stream."""
    names = [str(field.column) for field in _exported_fields(model, columns)]
    return (format_rows([names]).rstrip() + "\n").encode()


@contextmanager
def _open_stream(
    template: str, rows: QuerySet[Any], columns: Mapping[str, str | None], **parts: sql.Composable
) -> Iterator[Iterable[list[bytes]]]:
    compiled = compile_select(rows)
    if compiled is None:
        yield ()
        return
    statement = sql.SQL(template).format(
        columns=_select_list(rows.model, columns), rows=sql.SQL(compiled.sql), **parts
    )
    with (
        connection.wrap_database_errors,
        connection.connection.cursor() as cursor,  # Django's debug cursor cannot COPY.
        cursor.copy(statement, compiled.params or None) as copy,
    ):
        yield _collect_blocks(copy)


def _collect_blocks(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Collect chunks of at least _BLOCK_SIZE together."""
    pending, size = [], 0
    for chunk in chunks:
        pending.append(chunk)
        size += len(chunk)
        if size >= _BLOCK_SIZE:
            yield pending
            pending, size = [], 0
    if pending:
        yield pending


def _select_list(model: type[Model], columns: Mapping[str, str | None]) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.SQL(expression), identifier(field.column))
        if (expression := columns.get(str(field.column)))
        else identifier(field.column)
        for field in _exported_fields(model, columns)
    )


def _exported_fields(model: type[Model], columns: Mapping[str, str | None]) -> list[Field[Any, Any]]:
    return [field for field in model._meta.concrete_fields if columns.get(str(field.column), "") is not None]


def _cell_sql(field: Field[Any, Any]) -> sql.Composable:
    """The cell of a column; see Note [An apostrophe marks what a spreadsheet would run]."""
    column = identifier(field.column)
    if is_json(field) or isinstance(field, ArrayField):
        return sql.SQL("to_json({})::text").format(column)
    if isinstance(field, DateTimeField):
        return sql.SQL("to_json({})#>>'{{}}'").format(column)
    if not isinstance(field, CharField | TextField):
        return sql.SQL("{}::text").format(column)
    return sql.SQL("CASE WHEN {0} ~ {1} THEN {2} || {0} ELSE {0} END").format(
        column, sql.Literal(FORMULA_PATTERN), sql.Literal(MARK)
    )
