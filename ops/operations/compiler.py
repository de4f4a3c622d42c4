"""From an operation's declaration to SQL: the ORM compiles, nothing here is written for one model."""

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
    """Rows of ``(*labels, pk, old..., new...)``, old and new in the order of ``fields_of``."""
    fields = written_fields(operation)
    old, new = [field.attname for field in fields], [new_value_alias(field) for field in fields]
    rows: QuerySet[Any] = annotate_new_values(queryset, operation).values_list(*labels, "pk", *old, *new)
    return rows


def annotate_new_values(queryset: QuerySet[Any], operation: Operation) -> QuerySet[Any]:
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
    """An annotation's name; with an underscore at its end it is no field's, since Django refuses those."""
    return f"new_{field.name}_"


def compile_declaration(operation: Operation) -> CompiledStatement | None:
    """What the declaration compiles to, for its fingerprint."""
    queryset = operation.get_queryset().all()
    _sort_conditions(queryset.query.where, queryset.query.get_compiler(using=queryset.db))
    if not operation.is_per_row():
        queryset = select_changes(queryset.order_by("pk"), operation)
    return compile_select(queryset.order_by("pk"))


def _sort_conditions(where: WhereNode, compiler: Any) -> None:
    """Conditions that differ by their values alone, as those made of a set, which has another order in
    each process."""
    for child in where.children:
        if isinstance(child, WhereNode):
            _sort_conditions(child, compiler)
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
