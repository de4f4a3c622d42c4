"""Rows on their way into a model's table: a temporary table that COPY fills and the merge reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import DatabaseError, connection, models, transaction
from psycopg import sql

from ops.exceptions import OpsError
from ops.session import require_session
from ops.sql.compile import identifier, type_name
from ops.sqlstates import error_context, first_line, is_row_or_limit_error

POSITION_COLUMN = "_place"


class RejectedRow(OpsError):
    """The database cannot hold a row; ``number`` counts those that were staged, from 1."""

    def __init__(self, number: int, reason: str) -> None:
        self.number = number
        super().__init__(reason)


class StagingTable:
    """A temporary table with some columns of a model, each of them nullable: NULL is "not given".

    ``_place`` says where a row stands in its source, columns of text named in ``extra`` what the model has no
    column for. The table outlives transactions, so that a preview can
    read it in one that refuses writes and a merge can be tried again; it ends with the ``with`` block.
    """

    def __init__(self, model: type[models.Model], fields: Sequence[str], extra: Sequence[str] = ()) -> None:
        self.model = model
        self.extra = tuple(extra)
        self.fields: list[models.Field[Any, Any]] = [model._meta.get_field(name) for name in fields]  # type: ignore[misc]
        self.table = sql.Identifier("pg_temp", f"staged_{model._meta.db_table}")
        self.total = 0
        self._counts: dict[str, int] = {}

    def __enter__(self) -> Self:
        columns = [sql.SQL("{} bigint").format(sql.Identifier(POSITION_COLUMN))]
        columns += [sql.SQL("{} {}").format(column_identifier(f), sql.SQL(type_name(f))) for f in self.fields]
        columns += [sql.SQL("{} text").format(sql.Identifier(name)) for name in self.extra]
        require_session("A load or an import")
        self._execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table))
        self._execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(self._name, sql.SQL(", ").join(columns))
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if connection.is_usable():
            self._execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table))

    def fill(self, rows: Iterable[list[Any]]) -> None:
        """COPY rows of ``[place, value, ...]``: values of the fields, JSON as its text, then of the extra.

        Raises RefusedRow where the database cannot hold one, and whatever ``rows`` raises.
        """
        encoders = [(i, encode) for i, f in enumerate(self.fields, start=1) if (encode := _get_encoder(f))]
        columns = sql.SQL(", ").join(
            [
                sql.Identifier(POSITION_COLUMN),
                *map(column_identifier, self.fields),
                *map(sql.Identifier, self.extra),
            ]
        )
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(self.table, columns)
        try:
            self._copy(statement, _encode_rows(_wrap_source_errors(rows), encoders))
        except _SourceFailed as exc:
            raise exc.reason from None
        except DatabaseError as exc:
            raise self._refused(exc) or exc from exc
        self._execute(sql.SQL("ANALYZE {}").format(self.table))
        self.count()

    def _copy(self, statement: sql.Composable, rows: Iterable[list[Any]]) -> None:
        with (
            transaction.atomic(),
            connection.wrap_database_errors,
            connection.connection.cursor() as cursor,  # Django's debug cursor cannot COPY.
            cursor.copy(statement) as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def _refused(self, error: DatabaseError) -> RejectedRow | None:
        """The row at fault: the error's context is ``COPY staged_cards, line 2, column metadata: "..."``."""
        context = error_context(error) if is_row_or_limit_error(error) else ""
        found = re.search(rf"{self._name.as_string()[1:-1]}\D+(\d+)(?:, \S+ ([^:\s]+))?", context)
        return RejectedRow(int(found[1]), f"{found[2] or 'it'}: {first_line(error)}") if found else None

    def default(self, field: str, value: str) -> None:
        """Give a value to the rows that have none."""
        if self._counts.get(field) == self.total:
            return
        column = column_identifier(self.field(field))
        statement = sql.SQL("UPDATE {} SET {} = %s WHERE {} IS NULL").format(self.table, column, column)
        self._execute(statement, [value])
        self.count()

    @property
    def given(self) -> list[models.Field[Any, Any]]:
        """The fields that at least one row gives."""
        return [field for field in self.fields if self._counts.get(field.name)]

    def field(self, name: str) -> models.Field[Any, Any]:
        return next(field for field in self.fields if field.name == name)

    def count(self) -> None:
        """Look again at how many rows there are, and how many give each field."""
        columns = [sql.Identifier(POSITION_COLUMN), *map(column_identifier, self.fields)]
        counts = [sql.SQL("count({})").format(column) for column in columns]
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(counts), self.table))
            self.total, *given = cursor.fetchone()
        self._counts = dict(zip((field.name for field in self.fields), given, strict=True))

    @property
    def _name(self) -> sql.Identifier:
        return sql.Identifier(f"staged_{self.model._meta.db_table}")

    def _execute(self, statement: sql.Composed, params: Sequence[Any] | None = None) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, params)


def column_identifier(field: models.Field[Any, Any]) -> sql.Composable:
    return identifier(str(field.column))


class _SourceFailed(Exception):
    """Has no message of its own. See Note [What stops a COPY has no message]."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self.reason = reason


# Note [What stops a COPY has no message]
# psycopg sends the message of an exception that ends a COPY on to the server, which closes the connection on
# one of more than 10,000 bytes: see findings/psycopg-copy-long-exception.sh.
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
    """How a Python value enters COPY's text format; None where psycopg's own way is the fastest."""
    return _array_literal if isinstance(field, ArrayField) else None


def _array_literal(items: Sequence[object]) -> str:
    """Faster than psycopg's dumper of lists, which asks for the type of each item."""
    quoted = (str(item).replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in quoted) + "}"
