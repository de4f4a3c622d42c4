"""From an operation's declaration to SQL: the ORM compiles, nothing here is written for one model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, LiteralString

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection
from django.db.models import Expression, Field, Func, Model, QuerySet, TextField, Value
from django.db.models.expressions import RawSQL
from django.db.models.sql.where import WhereNode
from psycopg import sql

if TYPE_CHECKING:
    from ops.operation import Operation


class Slot(Enum):
    """What differs from batch to batch in a statement that is compiled once for all of them."""

    AFTER = "after"
    UPPER = "upper"
    KEY = "key"


@dataclass(frozen=True)
class Compiled:
    """A statement and its parameters, as a cursor's ``execute`` takes them; some may be slots."""

    sql: str
    params: tuple[Any, ...]

    def bind(self, bounds: Mapping[Slot, str | None]) -> tuple[Any, ...]:
        return tuple(bounds[param] if isinstance(param, Slot) else param for param in self.params)


_OPEN = {"char": "bpchar", "character": "bpchar", "bit": "varbit"}


class AsStored(Func):
    """An expression as its column's type, without length or precision.

    A cast to ``varchar(32)`` cuts in silence; the assignment to the column raises, as it must.
    """

    template = "(%(expressions)s)::%(db_type)s"

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]
        return super().as_sql(compiler, connection, db_type=type_name(self.output_field), **extra)


class Plain(Value):
    """A value without its field's placeholder: that of an array is a cast, which cuts in silence."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self.output_field.get_db_prep_value(self.value, connection)]


def type_name(field: Field[Any, Any]) -> str:
    """The column's type without its length or precision: ``varchar`` of ``varchar(32)``."""
    name = re.sub(r"\([^)]*\)", "", field.db_type(connection) or "")
    # Without a length these two mean a length of one.
    return re.sub(r"^(char|character|bit)\b(?! varying)", lambda m: _OPEN[m[1]], name)


def is_json(field: Field[Any, Any]) -> bool:
    return type_name(field) in {"json", "jsonb"}


def identifier(*names: str | None) -> sql.Composable:
    """A name for a statement whose parameters are ``%s``, where a percent sign is doubled.

    Quoted as the ORM does it, which takes ``db_table = '"schema"."table"'`` as quoted already.
    """
    quoted = (connection.ops.quote_name(str(name).replace("%", "%%")) for name in names)
    return sql.SQL(".".join(quoted))


def range_name(model: type[Model]) -> sql.Composable:
    """What the model's table goes by in a statement that gives it no other name: without its schema."""
    quoted = connection.ops.quote_name(model._meta.db_table)
    return identifier(quoted.split('"."')[-1].strip('"'))


def fields_of(operation: Operation) -> list[Field[Any, Any]]:
    """The fields that the operation writes, in the order in which the statements name them."""
    return fields_named(operation.model, operation.get_columns())


def fields_named(model: type[Model], names: Iterable[str]) -> list[Field[Any, Any]]:
    return [model._meta.get_field(name) for name in names]  # type: ignore[misc]


def compile_select(queryset: QuerySet[Any]) -> Compiled | None:
    """The SELECT of a queryset; None where it is known to match no row (``.none()``, an empty ``__in``)."""
    try:
        text, params = queryset.query.get_compiler(using=queryset.db).as_sql()
    except EmptyResultSet:
        return None
    return Compiled(text, tuple(params))


def compile_merge(queryset: QuerySet[Any], operation: Operation, source: sql.Composable) -> Compiled | None:
    """The MERGE that makes the operation's changes to a queryset; None where it is known to match no row.

    Its ``source`` is the list that the queryset is joined with, or a single row.

    What is set is not compiled by the ORM's UPDATE, which casts arrays to their columns' type and so cuts in
    silence.
    """
    compiler = with_new_values(queryset.order_by(), operation).query.get_compiler(using=queryset.db)
    compiler.pre_sql_setup()
    try:
        where, where_params = compiler.compile(queryset.query.where)
    except EmptyResultSet:
        return None
    fields = fields_of(operation)
    new = [compiler.compile(compiler.query.annotations[new_name(field)]) for field in fields]
    assignments = [assign(field, sql.SQL(text)) for field, (text, _) in zip(fields, new, strict=True)]
    assignments += touches(operation.model)
    statement = sql.SQL(
        "MERGE INTO {table} USING {source} ON {where} WHEN MATCHED THEN UPDATE SET {assignments}"
    ).format(
        table=identifier(operation.model._meta.db_table),
        source=source,
        assignments=sql.SQL(", ").join(assignments),
        where=sql.SQL(where),
    )
    params = [*where_params, *(param for _, given in new for param in given)]
    return Compiled(statement.as_string(connection.connection), tuple(params))


def with_changes(queryset: QuerySet[Any], operation: Operation, *labels: str) -> QuerySet[Any]:
    """Rows of ``(*labels, pk, old..., new...)``, old and new in the order of ``fields_of``."""
    fields = fields_of(operation)
    old, new = [field.attname for field in fields], [new_name(field) for field in fields]
    rows: QuerySet[Any] = with_new_values(queryset, operation).values_list(*labels, "pk", *old, *new)
    return rows


def with_new_values(queryset: QuerySet[Any], operation: Operation) -> QuerySet[Any]:
    changes = operation.get_changes()
    fields = dict(zip(operation.get_columns(), fields_of(operation), strict=True))
    rows: QuerySet[Any] = queryset.annotate(
        **{new_name(field): as_stored(changes[name], field) for name, field in fields.items()}
    )
    return rows


def new_name(field: Field[Any, Any]) -> str:
    """An annotation's name; with an underscore at its end it is no field's, since Django refuses those."""
    return f"new_{field.name}_"


def as_stored(value: Any, field: Field[Any, Any]) -> Expression:
    """A plain value or an expression, of the column's type; a plain None is SQL NULL in every column.

    The type is what the model says; an expression that is of the column's own already says ``is_as_stored``.
    """
    wanted = getattr(field, "target_field", field)
    if value is None:
        return AsStored(Value(None), output_field=wanted)
    if getattr(value, "is_as_stored", False):
        return value  # type: ignore[no-any-return]
    plain = not hasattr(value, "resolve_expression")
    return AsStored(Plain(value, output_field=wanted) if plain else value, output_field=wanted)


def statement_of(operation: Operation) -> Compiled | None:
    """What the declaration compiles to, for its fingerprint."""
    queryset = operation.get_queryset().all()
    _put_in_order(queryset.query.where, queryset.query.get_compiler(using=queryset.db))
    if not operation.is_per_row():
        queryset = with_changes(queryset.order_by("pk"), operation)
    return compile_select(queryset.order_by("pk"))


def _put_in_order(where: WhereNode, compiler: Any) -> None:
    """Conditions that differ by their values alone, as those made of a set, which has another order in
    each process."""
    for child in where.children:
        if isinstance(child, WhereNode):
            _put_in_order(child, compiler)
    try:
        told = [compiler.compile(child) for child in where.children]
    except (EmptyResultSet, FullResultSet):
        return
    for text in {text for text, _ in told}:
        places = [place for place, (other, _) in enumerate(told) if other == text]
        order = sorted(places, key=lambda place: repr(told[place][1]))
        moved = [where.children[place] for place in order]
        for place, child in zip(places, moved, strict=True):
            where.children[place] = child


def assign(field: Field[Any, Any], value: sql.Composable) -> sql.Composable:
    return sql.SQL("{} = {}").format(identifier(field.column), value)


def touches(model: type[Model]) -> list[sql.Composable]:
    """The assignments of every change to the fields that tell its time."""
    return [assign(field, sql.SQL("now()")) for field in touched(model)]


def touched(model: type[Model]) -> list[Field[Any, Any]]:
    """The fields that every change sets to the time of the change."""
    return [f for f in model._meta.local_concrete_fields if getattr(f, "auto_now", False)]


def row_version(model: type[Model]) -> RawSQL:
    """The transaction that wrote the row's version, as text: it is another one after every change."""
    return _of_row(model, "xmin::text")


def row_place(model: type[Model]) -> RawSQL:
    """Where in the table's file the row's version lies."""
    return _of_row(model, "ctid")


def _of_row(model: type[Model], what: LiteralString) -> RawSQL:
    told = sql.SQL("{}.{}").format(identifier(model._meta.db_table), sql.SQL(what))
    return RawSQL(told.as_string(), (), output_field=TextField())  # noqa: S611
