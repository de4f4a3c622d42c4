"""The registered operations, each tried out before it may run."""

from __future__ import annotations

import re
from typing import TypeVar

from django.core.exceptions import FieldDoesNotExist
from django.db.models import CompositePrimaryKey, Expression, QuerySet
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode
from django.utils import timezone

from ops.exceptions import InvalidDeclaration, UnknownOperation
from ops.operation import Operation

O = TypeVar("O", bound=type[Operation])  # noqa: E741

_registered: dict[str, type[Operation]] = {}


def register(operation: O) -> O:
    """Class decorator. Raises InvalidDeclaration where the engine could not run the operation exactly."""
    name = getattr(operation, "name", "")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise InvalidDeclaration(
            f"{operation.__qualname__}.name is {name!r}; use lower-case letters, digits and underscores"
        )
    if name in _registered:
        raise InvalidDeclaration(f"{name} is registered already, by {_registered[name].__qualname__}")
    _try_out(operation)
    _registered[name] = operation
    return operation


def get(name: str) -> type[Operation]:
    try:
        return _registered[name]
    except KeyError:
        known = ", ".join(sorted(_registered)) or "none"
        raise UnknownOperation(f"no operation is called {name!r}; the registered ones: {known}") from None


def all_operations() -> list[type[Operation]]:
    return [_registered[name] for name in sorted(_registered)]


def _try_out(operation: type[Operation]) -> None:
    required = {name for name, field in operation.Params.base_fields.items() if field.required}
    if missing := sorted(required - set(operation.example)):
        raise InvalidDeclaration(f"{operation.name}: example lacks the parameters {', '.join(missing)}")
    params = dict.fromkeys(operation.Params.base_fields) | dict(operation.example)
    instance = operation(params, timezone.now())
    if isinstance(operation.model._meta.pk, CompositePrimaryKey):
        raise InvalidDeclaration(
            f"{operation.name}: {operation.model._meta.label} has a composite primary key"
        )
    _check_columns(instance)
    if problem := _problem_of(instance.get_queryset(), operation):
        raise InvalidDeclaration(f"{operation.name}: get_queryset() {problem}. {_WHY}")


# Note [Why the queryset stands on the locked table alone]
# A batch locks its rows while it selects them. Under READ COMMITTED, PostgreSQL then checks the WHERE clause
# again on the newest version of a row that somebody just changed, but only a clause that stands on the locked
# table itself: a subquery over it is not evaluated anew, and a row would be changed that no longer needs it.
_WHY = (
    "Filter by the model's own columns (Exists() over another table is fine) and leave the rest to the engine"
)


def _problem_of(queryset: QuerySet, operation: type[Operation]) -> str | None:  # type: ignore[type-arg]
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


def _asks_itself(node: WhereNode | Expression | object, operation: type[Operation]) -> bool:
    if isinstance(node, Query):
        return node.model is operation.model or _asks_itself(node.where, operation)
    inner = list(getattr(node, "children", [])) + [
        getattr(node, name, None) for name in ("lhs", "rhs", "query")
    ]
    if hasattr(node, "get_source_expressions"):
        inner += node.get_source_expressions()
    return any(_asks_itself(child, operation) for child in inner if child is not None)


def _check_columns(instance: Operation) -> None:
    name, meta = instance.name, instance.model._meta
    columns = instance.get_columns()
    if not columns:
        raise InvalidDeclaration(f"{name} writes no column: give get_changes(), or columns and process()")
    for column in columns:
        try:
            field = meta.get_field(column)
        except FieldDoesNotExist as exc:
            raise InvalidDeclaration(f"{name} writes {column!r}, which {meta.label} does not have") from exc
        if not getattr(field, "concrete", False) or getattr(field, "generated", False) or field is meta.pk:
            raise InvalidDeclaration(f"{name} writes {column!r}, which is no column that can be set")
