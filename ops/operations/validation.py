"""Build an operation from its declaration, validate it, and compute its fingerprint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import DataError, ProgrammingError, models, transaction
from django.db.models import CompositePrimaryKey, Exists, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.lookups import In
from django.db.models.sql import Query

from ops.exceptions import InvalidDeclaration, InvalidParams
from ops.formatting import first_line
from ops.operations.base import Operation
from ops.operations.compiler import compile_declaration, select_changes, written_fields
from ops.operations.contract import (
    check_changes,
    check_checks,
    check_class,
    check_field_names,
    check_renamed_attributes,
    check_statement,
    get_operation_queryset,
    wrap_declaration_errors,
)
from ops.sql.compile import CompiledStatement
from ops.sqlstates import is_statement_error

# Types of primary keys whose text form is the same in Python and PostgreSQL: cursors and audit rows keep it.
_KEY_FIELDS = (models.IntegerField, models.CharField, models.TextField, models.UUIDField, models.DateField)


def model_label(model: type[models.Model]) -> str:
    """Return the model's label as a run stores it, ``cards.card``; of a proxy, its concrete model's."""
    return (model._meta.concrete_model or model)._meta.label_lower


def build_operation(declared: type[Operation], raw: Mapping[str, Any], as_of: datetime) -> Operation:
    """Return the operation with validated parameters. Raises InvalidParams, or InvalidDeclaration."""
    check_class(declared)
    with wrap_declaration_errors(declared.name, "Params"):
        form = declared.Params(data=dict(raw))
        if unknown := set(raw) - set(form.fields):
            raise InvalidParams({name: ["there is no such parameter."] for name in sorted(unknown)})
        is_valid = form.is_valid()
    if not is_valid:
        errors = form.errors.get_json_data()
        raise InvalidParams({name: [error["message"] for error in each] for name, each in errors.items()})
    with wrap_declaration_errors(declared.name, "__init__()"):
        operation = declared(form.cleaned_data, as_of)
    validate_operation(operation)
    return operation


def build_deterministic_operation(
    declared: type[Operation], raw: Mapping[str, Any], as_of: datetime
) -> Operation:
    """As ``build_operation``, for a run, whose operation every process must be able to build again.

    Raises InvalidDeclaration, too, if a second build differs.
    """
    operation, again = (build_operation(declared, raw, as_of) for _ in range(2))
    check_deterministic(operation, again)
    return operation


def check_deterministic(operation: Operation, again: Operation) -> None:
    """Raise InvalidDeclaration if two operations built from the same parameters differ."""
    if fingerprint(operation) != fingerprint(again):
        raise InvalidDeclaration(
            f"{operation.name} differs each time it is built{_describe_difference(operation, again)}:"
            " no run of it could be resumed. Take the time from self.as_of, which a run stores,"
            " not from the clock, and random values from a parameter or the database"
        )


def _describe_difference(operation: Operation, again: Operation) -> str:
    """Return the first value in which they differ."""
    first, second = (compile_declaration(each) for each in (operation, again))
    values = zip(first.params if first else (), second.params if second else (), strict=False)
    return next((f" (first {one}, then {other})" for one, other in values if str(one) != str(other)), "")


def fingerprint(operation: Operation) -> str:
    """Return a hash of the statement that the operation compiles to, its columns and its version."""
    compiled = compile_declaration(operation)
    params = _stable_params(compiled) if compiled else []
    label, columns = operation.model._meta.label, operation.get_columns()
    parts = (label, operation.version, columns, compiled and compiled.sql, params)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _stable_params(compiled: CompiledStatement) -> list[str]:
    """Return the parameters as text that is the same in every process.

    Those of IN are sorted, since the order of a set (``rarity__in={...}``) differs between processes. JSON is
    unwrapped, since the repr of psycopg's wrapper is cut off.
    """
    params = [repr(getattr(param, "obj", param)) for param in compiled.params]
    for match in re.finditer(r"IN \(((?:%s, )*%s)\)", compiled.sql):
        first = compiled.sql.count("%s", 0, match.start())
        last = first + match.group(1).count("%s")
        params[first:last] = sorted(params[first:last])
    return params


def check_query_plan(operation: Operation) -> None:
    """Raise InvalidDeclaration if PostgreSQL cannot plan the statement, as where types do not match."""
    queryset = operation.get_queryset()
    if not operation.is_per_row():
        queryset = select_changes(queryset, operation)
    try:
        with transaction.atomic():
            queryset.order_by().explain()
    except DataError:
        return  # a value that does not fit its column: the preview and the run report it
    except ProgrammingError as exc:
        if not is_statement_error(exc):
            raise
        message = first_line(exc)
        raise InvalidDeclaration(f"{operation.name}: PostgreSQL rejects its statement: {message}") from exc


def validate_operation(operation: Operation) -> None:
    """Raise InvalidDeclaration if the engine could not run the operation exactly."""
    check_renamed_attributes(operation.name, operation)  # those that __init__() set
    if isinstance(operation.model._meta.pk, CompositePrimaryKey):
        raise InvalidDeclaration(
            f"{operation.name}: {operation.model._meta.label} has a composite primary key"
        )
    key = getattr(operation.model._meta.pk, "target_field", operation.model._meta.pk)
    if not isinstance(key, _KEY_FIELDS) or isinstance(key, models.DateTimeField):
        raise InvalidDeclaration(
            f"{operation.name}: {operation.model._meta.label} has a {type(key).__name__} as primary key;"
            " a run needs an integer, a text, a date or a UUID"
        )
    check_changes(operation)
    _check_columns(operation)
    _check_dependencies(operation)
    queryset = get_operation_queryset(operation)
    _check_queryset(operation, "get_queryset()", queryset)
    if not operation.is_per_row():
        _check_queryset(operation, "get_changes()", _queryset_with_changes(operation, queryset))
    check_statement(operation)
    check_field_names(operation, queryset)
    check_checks(operation)


def _queryset_with_changes(operation: Operation, queryset: QuerySet[Any]) -> QuerySet[Any]:
    with wrap_declaration_errors(operation.name, "get_changes()"):
        changed = select_changes(queryset, operation)
    changed.query.values_select = ()  # set by select_changes, not by the declaration
    changed._fields = None  # type: ignore[attr-defined]
    return changed


def _check_queryset(operation: Operation, where: str, queryset: QuerySet[Any]) -> None:
    if problem := _find_queryset_problem(queryset, operation):
        raise InvalidDeclaration(f"{operation.name}: {where} {problem}. {_QUERYSET_HINT}")


# Note [Why the queryset stands on the locked table alone]
# A batch locks its rows while it selects them. Under READ COMMITTED, PostgreSQL then checks the WHERE clause
# again on the newest version of a row that was just changed, but only a clause on the locked table itself: a
# subquery over it is not evaluated again, and a row would be changed that no longer needs it.
_QUERYSET_HINT = "Filter by the model's own columns; Exists() over another table is allowed"


def has_subquery(operation: Operation) -> bool:
    """Whether the queryset has an EXISTS or IN over another table, or may have one in raw SQL.

    PostgreSQL may join such a table, and then does not read it again for a row whose lock it waited for. A
    scalar subquery it evaluates again.
    """
    nodes = _iter_nodes(operation.get_queryset().query.where)
    return any(isinstance(node, Exists | RawSQL) or _is_in_subquery(node) for node in nodes)


def _is_in_subquery(node: Any) -> bool:
    return isinstance(node, In) and isinstance(node.rhs, Query | Subquery)


def _find_queryset_problem(queryset: QuerySet[Any], operation: Operation) -> str | None:
    query, own = queryset.query, operation.model._meta.db_table
    if queryset.model is not operation.model:
        return f"is over {queryset.model.__name__}, not {operation.model.__name__}"
    problems = {
        "is DISTINCT": query.distinct,
        "is sliced": query.is_sliced,
        f"is a {query.combinator}": query.combinator,
        "aggregates": query.group_by is not None,
        "uses a window function": any(
            _is_windowed(node) for node in (query.where, *query.annotations.values())
        ),
        "joins another table": len(_joined_tables(query)) > (2 if operation.key_list else 1),
        "locks by itself": query.select_for_update,
        "uses extra()": query.extra or query.extra_tables,
        "ends in values()": getattr(queryset, "_fields", None) is not None,
        f"has a subquery over {operation.model.__name__}": any(
            own in _joined_tables(q) for q in _iter_subqueries(query)
        ),
    }
    return next((problem for problem, is_so in problems.items() if is_so), None)


def _is_windowed(expression: Any) -> bool:
    return bool(getattr(expression, "contains_over_clause", False))


def _joined_tables(query: Query) -> list[str]:
    return [table.table_name for alias, table in query.alias_map.items() if query.alias_refcount.get(alias)]


def _iter_subqueries(query: Query) -> Iterator[Query]:
    """Yield every query within the query, at any depth."""
    for expression in [query.where, *query.annotations.values()]:
        for inner in filter(lambda node: isinstance(node, Query), _iter_nodes(expression)):
            yield inner
            yield from _iter_subqueries(inner)


def _iter_nodes(node: Any) -> Iterator[Any]:
    """Yield the node and its parts; a query is yielded whole."""
    yield node
    if isinstance(node, Query):
        return
    inner = [*getattr(node, "children", []), *(getattr(node, name, None) for name in ("lhs", "rhs", "query"))]
    if hasattr(node, "get_source_expressions"):
        inner += node.get_source_expressions()
    # A lookup names its sides twice: each is visited once, else every level doubles the work.
    for child in {id(child): child for child in inner}.values():
        if child is not None and child is not node:
            yield from _iter_nodes(child)


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
        concrete = meta.concrete_model or operation.model
        if columns.count(column) > 1 or (column != field.name and field.name in columns):
            raise InvalidDeclaration(f"{name} writes {column!r} twice")
        own = field in concrete._meta.local_concrete_fields
        if not own or getattr(field, "generated", False) or field is meta.pk:
            raise InvalidDeclaration(f"{name} writes {column!r}, which cannot be set")


def _check_dependencies(operation: Operation) -> None:
    name, meta = operation.name, operation.model._meta
    for column in operation.depends_on:
        if column not in {field.name for field in meta.get_fields()}:
            raise InvalidDeclaration(f"{name} depends on {column!r}, which {meta.label} does not have")
        if column in {field.name for field in written_fields(operation)}:
            raise InvalidDeclaration(f"{name} depends on {column!r}, which it writes: it would never end")
    needed = [param for param, field in operation.Params.base_fields.items() if field.required]
    if operation.depends_on and needed:
        raise InvalidDeclaration(
            f"{name} depends on columns, so its runs start by themselves: the parameter {needed[0]}"
            " must not be required"
        )
