"""Dual writes: triggers that keep two columns of a table equal while both are in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DecimalField, Expression, Field, Model
from django.db.models.expressions import Col
from django.db.models.functions import Cast
from django.db.models.sql import Query
from psycopg import ClientCursor

from ops.sql.compile import cast_to_column_type

OFF_SETTING = "ops.dual_write"
_OLD, _NEW = "\x00old\x00", "\x00new\x00"


@dataclass(frozen=True)
class DualWrite:
    """The dual write between two columns of a table, as a migration stores it.

    ``to_new`` and ``to_old`` are SQL over the row, with ``{old}`` and ``{new}`` for the two columns;
    ``to_old`` is None where there is no way back. ``sources`` are the columns, other than the old one, that
    ``to_new`` reads. ``default`` is the SQL of the old column's default; ``has_own_default`` is false where
    it comes from the new column's. ``keeps``: a new value that has no old one leaves the old column as it
    is; else it is refused.
    """

    change: str
    table: str
    old: str
    new: str
    to_new: str
    to_old: str | None = None
    sources: tuple[str, ...] = ()
    default: str | None = None
    has_own_default: bool = True
    keeps: bool = False

    def deconstruct(self) -> tuple[str, tuple[()], dict[str, Any]]:
        """Return how a migration writes it; Django's decorator does not work on a frozen class."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return (
            path,
            (),
            {field.name: values[field.name] for field in fields(self) if values[field.name] != field.default},
        )


def comparable_value(value: Any, field: Field[Any, Any]) -> Expression:
    """Cast a value or an expression to the column's type, rounded where an assignment would round it.

    A cast to ``varchar(32)`` would truncate, where the assignment raises: it is compared without the length.
    """
    if isinstance(field, DecimalField) and hasattr(value, "resolve_expression"):
        return Cast(value, field)
    return cast_to_column_type(value, field)


def compile_dual_write(
    change: str,
    model: type[Model],
    old: Field[Any, Any],
    new: Field[Any, Any],
    to_new: Expression,
    to_old: Expression | None,
    **options: Any,
) -> DualWrite:
    """Compile the two expressions, over fields of the model, to the SQL of a dual write.

    Raises FieldError for a join, and ValueError for what is no expression over one row.
    """
    text, columns = _compile_over_row(model, to_new, old, new)
    return DualWrite(
        change,
        model._meta.db_table,
        str(old.column),
        str(new.column),
        text,
        None if to_old is None else _compile_over_row(model, to_old, old, new)[0],
        sources=tuple(sorted(columns - {old.column, new.column})),
        **options,
    )


def _compile_over_row(
    model: type[Model], expression: Expression, old: Field[Any, Any], new: Field[Any, Any]
) -> tuple[str, set[str]]:
    """Compile an expression over a trigger's row NEW; return its SQL and the columns that it reads."""
    query = Query(model)
    alias = query.get_initial_alias()
    resolved = expression.resolve_expression(query, allow_joins=False)
    if resolved.contains_aggregate or resolved.contains_over_clause or _has_subquery(resolved):
        raise ValueError("it is no expression over one row: aggregates, windows and subqueries are refused")
    columns = {str(node.target.column) for node in _flatten(resolved) if isinstance(node, Col)}
    text, params = query.get_compiler(connection=connection).compile(resolved.relabeled_clone({alias: "new"}))
    for field, token in ((old, _OLD), (new, _NEW)):
        text = text.replace(f'"new".{connection.ops.quote_name(str(field.column))}', token)
    with connection.cursor():  # connects
        text = ClientCursor(connection.connection).mogrify(text, params)
    text = text.replace("{", "{{").replace("}", "}}")
    return text.replace(_OLD, "{old}").replace(_NEW, "{new}"), columns


def _flatten(expression: Any) -> Iterator[Any]:
    yield expression
    for source in expression.get_source_expressions():
        if source is not None:
            yield from _flatten(source)


def _has_subquery(expression: Any) -> bool:
    return any(hasattr(node, "query") or getattr(node, "subquery", False) for node in _flatten(expression))


@contextmanager
def dual_writes_off(alias: str = "default") -> Iterator[None]:
    """Write both columns as given, in one transaction: for rows that are loaded as they were."""
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true), set_config(%s, 'off', true)", [OFF_SETTING] * 2)
        [before, _] = cursor.fetchone()
        yield
        cursor.execute("SELECT set_config(%s, %s, true)", [OFF_SETTING, before or ""])


def read_default(using: BaseDatabaseWrapper, table: str, column: str) -> str | None:
    """Return the SQL of the column's default, or None."""
    with using.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute"
            " ON attrelid = adrelid AND attnum = adnum WHERE adrelid = to_regclass(%s) AND attname = %s",
            [using.ops.quote_name(table), column],
        )
        row = cursor.fetchone()
    return row[0] if row else None
