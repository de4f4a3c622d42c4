"""Compile an operation's declaration to querysets and SQL, by the ORM's compiler."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models import Field, QuerySet
from django.db.models.sql.where import WhereNode

from ops.operations.base import Operation
from ops.sql.compile import CompiledStatement, cast_to_column_type, compile_select, get_model_fields


def written_fields(operation: Operation) -> list[Field[Any, Any]]:
    """The fields that the operation writes, in the order in which the statements name them."""
    return get_model_fields(operation.model, operation.get_columns())


def select_changes(queryset: QuerySet[Any], operation: Operation, *labels: str) -> QuerySet[Any]:
    """Rows of ``(*labels, pk, old..., new...)``, old and new in the order of ``written_fields``."""
    fields = written_fields(operation)
    old, new = [field.attname for field in fields], [new_value_alias(field) for field in fields]
    rows: QuerySet[Any] = annotate_new_values(queryset, operation).values_list(*labels, "pk", *old, *new)
    return rows


def annotate_new_values(queryset: QuerySet[Any], operation: Operation) -> QuerySet[Any]:
    """The rows with each new value as an annotation, cast to its column's type."""
    changes = operation.get_changes()
    fields = dict(zip(operation.get_columns(), written_fields(operation), strict=True))
    rows: QuerySet[Any] = queryset.annotate(
        **{
            new_value_alias(field): cast_to_column_type(changes[name], field)
            for name, field in fields.items()
        }
    )
    return rows


def new_value_alias(field: Field[Any, Any]) -> str:
    """The annotation's name. No field can have it: Django refuses an underscore at a field name's end."""
    return f"new_{field.name}_"


def compile_declaration(operation: Operation) -> CompiledStatement | None:
    """Compile the declaration for its fingerprint; None where it is known to match no row."""
    queryset = operation.get_queryset().all()
    _sort_conditions(queryset.query.where, queryset.query.get_compiler(using=queryset.db))
    if not operation.is_per_row():
        queryset = select_changes(queryset.order_by("pk"), operation)
    return compile_select(queryset.order_by("pk"))


def _sort_conditions(where: WhereNode, compiler: Any) -> None:
    """Sort, by their values, conditions of the same SQL: those made of a set differ in order by process."""
    for child in where.children:
        if isinstance(child, WhereNode):
            _sort_conditions(child, compiler)
    try:
        compiled = [compiler.compile(child) for child in where.children]
    except (EmptyResultSet, FullResultSet):
        return
    for text in {text for text, _ in compiled}:
        positions = [i for i, (other, _) in enumerate(compiled) if other == text]
        by_value = sorted(positions, key=lambda i: repr(compiled[i][1]))
        children = [where.children[i] for i in by_value]
        for i, child in zip(positions, children, strict=True):
            where.children[i] = child
