"""Temporary tables that COPY fills, from which ``Upsert`` loads rows into a model's table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import DatabaseError, connection, models, transaction
from psycopg import sql

from ops.exceptions import OpsError
from ops.formatting import first_line
from ops.session import require_session
from ops.sql.compile import identifier, type_name
from ops.sqlstates import error_context, is_row_or_limit_error

POSITION_COLUMN = "_position"


class RejectedRow(OpsError):
    """The database rejects a row; ``row_number`` counts the copied rows, from 1."""

    def __init__(self, row_number: int, reason: str) -> None:
        self.row_number = row_number
        super().__init__(reason)


class StagingTable:
    """A temporary table with some columns of a model, each of them nullable: NULL is "not given".

    ``_position`` is the row's position in its source. ``extra_columns`` are of type text, for values that the
    model has no column for. The table lives until the end of the ``with`` block, across transactions: a
    preview reads it in a read-only transaction, and a load that was rolled back is tried again. Within one
    transaction a pooler is no obstacle.
    """

    def __init__(
        self, model: type[models.Model], fields: Sequence[str], extra_columns: Sequence[str] = ()
    ) -> None:
        self.model = model
        self.extra_columns = tuple(extra_columns)
        self.fields: list[models.Field[Any, Any]] = [model._meta.get_field(name) for name in fields]  # type: ignore[misc]
        self.table = sql.Identifier("pg_temp", f"staged_{model._meta.db_table}")
        self.row_count = 0
        self._given_counts: dict[str, int] = {}

    def __enter__(self) -> Self:
        columns = [sql.SQL("{} bigint").format(sql.Identifier(POSITION_COLUMN))]
        columns += [sql.SQL("{} {}").format(column_identifier(f), sql.SQL(type_name(f))) for f in self.fields]
        columns += [sql.SQL("{} text").format(sql.Identifier(name)) for name in self.extra_columns]
        if not connection.in_atomic_block:
            require_session("A load or an import")
        self._execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table))
        self._execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(
                self._unqualified_table, sql.SQL(", ").join(columns)
            )
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if connection.is_usable():
            self._execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table))

    def copy_in(self, rows: Iterable[list[Any]]) -> None:
        """COPY rows of ``[position, *field values, *extra values]`` into the table; JSON values are text.

        Raises RejectedRow for a row that the database rejects, and whatever ``rows`` raises.
        """
        encoders = [(i, encode) for i, f in enumerate(self.fields, start=1) if (encode := _get_encoder(f))]
        columns = sql.SQL(", ").join(
            [
                sql.Identifier(POSITION_COLUMN),
                *map(column_identifier, self.fields),
                *map(sql.Identifier, self.extra_columns),
            ]
        )
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(self.table, columns)
        try:
            self._copy(statement, _encode_rows(_wrap_source_errors(rows), encoders))
        except _SourceFailed as exc:
            raise exc.cause from None
        except DatabaseError as exc:
            raise self._rejected_row(exc) or exc from exc
        self._execute(sql.SQL("ANALYZE {}").format(self.table))
        self.refresh_counts()

    def _copy(self, statement: sql.Composable, rows: Iterable[list[Any]]) -> None:
        with (
            transaction.atomic(),
            connection.wrap_database_errors,
            connection.connection.cursor() as cursor,  # Django's debug cursor cannot COPY.
            cursor.copy(statement) as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def _rejected_row(self, error: DatabaseError) -> RejectedRow | None:
        """The row of the error's context, as in ``COPY staged_cards, line 2, column metadata: "..."``."""
        context = error_context(error) if is_row_or_limit_error(error) else ""
        match = re.search(
            rf"{self._unqualified_table.as_string()[1:-1]}\D+(\d+)(?:, \S+ ([^:\s]+))?", context
        )
        return RejectedRow(int(match[1]), f"{match[2] or 'it'}: {first_line(error)}") if match else None

    def set_default(self, field: str, value: str) -> None:
        """Set the field of the rows that do not give it."""
        if self._given_counts.get(field) == self.row_count:
            return
        column = column_identifier(self.get_field(field))
        statement = sql.SQL("UPDATE {} SET {} = %s WHERE {} IS NULL").format(self.table, column, column)
        self._execute(statement, [value])
        self.refresh_counts()

    @property
    def given_fields(self) -> list[models.Field[Any, Any]]:
        """The fields that at least one row gives."""
        return [field for field in self.fields if self._given_counts.get(field.name)]

    def get_field(self, name: str) -> models.Field[Any, Any]:
        return next(field for field in self.fields if field.name == name)

    def refresh_counts(self) -> None:
        """Count the rows, and those that give each field."""
        columns = [sql.Identifier(POSITION_COLUMN), *map(column_identifier, self.fields)]
        aggregates = [sql.SQL("count({})").format(column) for column in columns]
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(aggregates), self.table))
            self.row_count, *counts = cursor.fetchone()
        self._given_counts = dict(zip((field.name for field in self.fields), counts, strict=True))

    @property
    def _unqualified_table(self) -> sql.Identifier:
        return sql.Identifier(f"staged_{self.model._meta.db_table}")

    def _execute(self, statement: sql.Composed, params: Sequence[Any] | None = None) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, params)


def column_identifier(field: models.Field[Any, Any]) -> sql.Composable:
    return identifier(str(field.column))


class _SourceFailed(Exception):
    """The rows' iterator raised ``cause``. Without a message: see Note [What stops a COPY has no message]."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


# Note [What stops a COPY has no message]
# psycopg sends the message of an exception that ends a COPY to the server, which closes the connection if it
# has more than 10,000 bytes: see findings/psycopg-copy-long-exception.sh.
def _wrap_source_errors(rows: Iterable[list[Any]]) -> Iterator[list[Any]]:
    try:
        yield from rows
    except Exception as exc:
        raise _SourceFailed(exc) from None


def _encode_rows(
    rows: Iterable[list[Any]], encoders: Sequence[tuple[int, Callable[[Any], str]]]
) -> Iterator[list[Any]]:
    for row in rows:
        for i, encode in encoders:
            if row[i] is not None:
                row[i] = encode(row[i])
        yield row


def _get_encoder(field: models.Field[Any, Any]) -> Callable[[Any], str] | None:
    """Return what turns a Python value into COPY's text; None where psycopg's own dumper is the fastest."""
    return _array_literal if isinstance(field, ArrayField) else None


def _array_literal(items: Sequence[object]) -> str:
    """Format an array literal: faster than psycopg's dumper, which looks up the type of each item."""
    quoted = (str(item).replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in quoted) + "}"
