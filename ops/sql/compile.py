"""Compile querysets and fields of any model to SQL, by the ORM's compiler."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, LiteralString

from django.core.exceptions import EmptyResultSet, FieldError
from django.db import connection
from django.db.models import Expression, Field, Func, Model, QuerySet, TextField, Value
from django.db.models.expressions import RawSQL
from psycopg import sql


class BoundParam(Enum):
    """A placeholder in a statement that is compiled once and bound again for each batch."""

    AFTER = "after"
    UPPER = "upper"
    KEY = "key"


@dataclass(frozen=True)
class CompiledStatement:
    """A statement and its parameters for a cursor's ``execute``; some may be BoundParam placeholders."""

    sql: str
    params: tuple[Any, ...]

    def bind(self, bounds: Mapping[BoundParam, str | None]) -> tuple[Any, ...]:
        return tuple(bounds[param] if isinstance(param, BoundParam) else param for param in self.params)


_UNSIZED_TYPES = {"char": "bpchar", "character": "bpchar", "bit": "varbit"}


class CastToColumnType(Func):
    """An expression as its column's type, without length or precision.

    A cast to ``varchar(32)`` truncates silently; the assignment to the column raises, as it must. Between
    boolean and the integers PostgreSQL has casts of ``integer`` only.
    """

    template = "(%(expressions)s)::%(db_type)s"

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]
        name = type_name(self.output_field)
        [source] = self.get_source_expressions()
        types = {name, _known_type_name(source)}
        if "boolean" in types and types & {"smallint", "bigint"}:
            extra["template"] = "(%(expressions)s)::integer::%(db_type)s"
        return super().as_sql(compiler, connection, db_type=name, **extra)


class UncastValue(Value):
    """A value without its field's placeholder: that of an array is a cast, which truncates silently."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self.output_field.get_db_prep_value(self.value, connection)]


def _known_type_name(expression: Any) -> str:
    try:
        field = expression._output_field_or_none
    except FieldError:  # of mixed types
        return ""
    return type_name(field) if field is not None else ""


def type_name(field: Field[Any, Any]) -> str:
    """The column's type without its length or precision: ``varchar`` of ``varchar(32)``."""
    name = re.sub(r"\([^)]*\)", "", field.db_type(connection) or "")
    # Without a length, these types have a length of one.
    return re.sub(r"^(char|character|bit)\b(?! varying)", lambda m: _UNSIZED_TYPES[m[1]], name)


def is_json(field: Field[Any, Any]) -> bool:
    return type_name(field) in {"json", "jsonb"}


def identifier(*names: str | None) -> sql.Composable:
    """Quote a name for a statement with ``%s`` parameters, in which a percent sign is doubled.

    Quoted like the ORM, which takes ``db_table = '"schema"."table"'`` as quoted already.
    """
    quoted = (connection.ops.quote_name(str(name).replace("%", "%%")) for name in names)
    return sql.SQL(".".join(quoted))


def unqualified_table_name(model: type[Model]) -> sql.Composable:
    """The name of the model's table without its schema, as in a statement that gives it no alias."""
    quoted = connection.ops.quote_name(model._meta.db_table)
    return identifier(quoted.split('"."')[-1].strip('"'))


def get_model_fields(model: type[Model], names: Iterable[str]) -> list[Field[Any, Any]]:
    return [model._meta.get_field(name) for name in names]  # type: ignore[misc]


def compile_select(queryset: QuerySet[Any]) -> CompiledStatement | None:
    """Compile a queryset's SELECT; None if it is known to match no row (``.none()``, an empty ``__in``)."""
    try:
        text, params = queryset.query.get_compiler(using=queryset.db).as_sql()
    except EmptyResultSet:
        return None
    return CompiledStatement(text, tuple(params))


def compile_merge(
    rows: QuerySet[Any], fields: Mapping[str, Field[Any, Any]], source: sql.Composable
) -> CompiledStatement | None:
    """Compile a MERGE that sets each field to the annotation of its name; None if no row can match.

    Its ``source`` is the list that the queryset is joined with, or a single row.

    The ORM's UPDATE is not used: it casts arrays to their columns' type, which truncates silently.
    """
    compiler = rows.query.get_compiler(using=rows.db)
    compiler.pre_sql_setup()
    try:
        where, where_params = compiler.compile(compiler.query.where)
    except EmptyResultSet:
        return None
    new = [compiler.compile(compiler.query.annotations[name]) for name in fields]
    assignments = [
        format_assignment(field, sql.SQL(text)) for field, (text, _) in zip(fields.values(), new, strict=True)
    ]
    assignments += auto_now_assignments(rows.model, fields.values())
    statement = sql.SQL(
        "MERGE INTO {table} USING {source} ON {where} WHEN MATCHED THEN UPDATE SET {assignments}"
    ).format(
        table=identifier(rows.model._meta.db_table),
        source=source,
        assignments=sql.SQL(", ").join(assignments),
        where=sql.SQL(where),
    )
    params = [*where_params, *(param for _, value_params in new for param in value_params)]
    return CompiledStatement(statement.as_string(connection.connection), tuple(params))


def cast_to_column_type(value: Any, field: Field[Any, Any]) -> Expression:
    """Cast a plain value or an expression to the column's type; a plain None is SQL NULL in every column.

    The type is the model's. An expression that has the column's type already sets ``has_column_type``.
    """
    target = getattr(field, "target_field", field)
    if value is None:
        return CastToColumnType(Value(None), output_field=target)
    if getattr(value, "has_column_type", False):
        return value  # type: ignore[no-any-return]
    if not hasattr(value, "resolve_expression"):
        value = UncastValue(value, output_field=target)
    return CastToColumnType(value, output_field=target)


def format_assignment(field: Field[Any, Any], value: sql.Composable) -> sql.Composable:
    return sql.SQL("{} = {}").format(identifier(field.column), value)


def auto_now_assignments(model: type[Model], written: Iterable[Field[Any, Any]]) -> list[sql.Composable]:
    """The assignments that set the fields with ``auto_now`` to the time of the change.

    Those that are written have their value already, and no column may be assigned twice.
    """
    given = set(written)
    return [format_assignment(f, sql.SQL("now()")) for f in auto_now_fields(model) if f not in given]


def auto_now_fields(model: type[Model]) -> list[Field[Any, Any]]:
    """The fields that every change sets to its time."""
    return [f for f in model._meta.local_concrete_fields if getattr(f, "auto_now", False)]


def row_version(model: type[Model]) -> RawSQL:
    """The row's xmin as text: the transaction that wrote it, which differs after every change."""
    return _system_column(model, "xmin::text")


def row_ctid(model: type[Model]) -> RawSQL:
    """The row's ctid: the position of its current version in the table."""
    return _system_column(model, "ctid")


def _system_column(model: type[Model], expression: LiteralString) -> RawSQL:
    column = sql.SQL("{}.{}").format(identifier(model._meta.db_table), sql.SQL(expression))
    return RawSQL(column.as_string(), (), output_field=TextField())  # noqa: S611
