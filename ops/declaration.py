"""What the engine asks of a declaration before it runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import CompositePrimaryKey, QuerySet
from django.db.models.sql import Query

from ops.exceptions import InvalidDeclaration

if TYPE_CHECKING:
    from ops.operation import Operation


def try_out(operation: Operation) -> None:
    """Raise InvalidDeclaration where the engine could not run the operation exactly."""
    if isinstance(operation.model._meta.pk, CompositePrimaryKey):
        raise InvalidDeclaration(
            f"{operation.name}: {operation.model._meta.label} has a composite primary key"
        )
    _check_columns(operation)
    if problem := _problem_of(operation.get_queryset(), operation):
        raise InvalidDeclaration(f"{operation.name}: get_queryset() {problem}. {_WHY}")


# Note [Why the queryset stands on the locked table alone]
# A batch locks its rows while it selects them. Under READ COMMITTED, PostgreSQL then checks the WHERE clause
# again on the newest version of a row that somebody just changed, but only a clause that stands on the locked
# table itself: a subquery over it is not evaluated anew, and a row would be changed that no longer needs it.
_WHY = (
    "Filter by the model's own columns (Exists() over another table is fine) and leave the rest to the engine"
)


def _problem_of(queryset: QuerySet[Any], operation: Operation) -> str | None:
    query = queryset.query
    if queryset.model is not operation.model:
        return f"is over {queryset.model.__name__}, not {operation.model.__name__}"
    joins = [alias for alias in query.alias_map if query.alias_refcount.get(alias)]
    return next(
        (
            problem
            for found, problem in [
                (len(joins) > 1, "joins another table"),
                (query.distinct, "is DISTINCT"),
                (query.is_sliced, "is sliced"),
                (bool(query.combinator), f"is a {query.combinator}"),
                (query.group_by is not None or query.contains_aggregate, "aggregates"),
                (query.select_for_update, "locks by itself"),
                (bool(query.extra), "uses extra()"),
                (_asks_itself(query.where, operation), f"has a subquery over {operation.model.__name__}"),
            ]
            if found
        ),
        None,
    )


def _asks_itself(node: object, operation: Operation) -> bool:
    if isinstance(node, Query):
        return node.model is operation.model or _asks_itself(node.where, operation)
    inner = list(getattr(node, "children", [])) + [
        getattr(node, name, None) for name in ("lhs", "rhs", "query")
    ]
    if hasattr(node, "get_source_expressions"):
        inner += node.get_source_expressions()
    return any(_asks_itself(child, operation) for child in inner if child is not None)


def _check_columns(operation: Operation) -> None:
    name, meta = operation.name, operation.model._meta
    columns = operation.get_columns()
    if not columns:
        raise InvalidDeclaration(f"{name} writes no column: give get_changes(), or columns and process()")
    for column in columns:
        try:
            field = meta.get_field(column)
        except FieldDoesNotExist as exc:
            raise InvalidDeclaration(f"{name} writes {column!r}, which {meta.label} does not have") from exc
        if not getattr(field, "concrete", False) or getattr(field, "generated", False) or field is meta.pk:
            raise InvalidDeclaration(f"{name} writes {column!r}, which is no column that can be set")
