"""Checks of a declaration: its attributes, and what its methods return."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django import forms
from django.core.exceptions import FieldError, ValidationError
from django.db import Error
from django.db.models import Count, Manager, Model, QuerySet
from django.utils.choices import CallableChoiceIterator

from ops.exceptions import InvalidDeclaration, OpsError
from ops.models import Run
from ops.operations import user_code
from ops.operations.base import Check, Operation
from ops.operations.compiler import compile_declaration

# Options of the commands that run operations; a parameter cannot have one of these names.
# fmt: off
RESERVED_PARAM_NAMES = frozenset({
    "operation", "verb", "number", "help", "version", "verbosity", "settings", "pythonpath",
    "traceback", "no_color", "force_color", "skip_checks", "dry_run", "execute", "batch_size",
    "max_rate", "max_failures", "queue", "workers", "lanes", "filter", "ignore_health",
    "ignored_health", "no_backup", "without_backup", "as", "performed_by", "json",
})
# fmt: on

# Old names of attributes of Operation. A declaration that still uses one would lose it unnoticed.
RENAMED_ATTRIBUTES = {
    "breakdown": "group_by",
    "check_rows": "check_preconditions",
    "follows": "depends_on",
    "get_remarks": "get_notes",
    "guessed_rate": "estimated_rate",
    "label": "display_field",
    "listed": "key_list",
    "names_of": "get_display_names",
}


@contextmanager
def wrap_declaration_errors(name: str, what: str) -> Iterator[None]:
    """Raise InvalidDeclaration for errors of the declaration's own code; let database errors pass."""
    try:
        yield
    except (OpsError, Error):
        raise
    except NotImplementedError as exc:
        raise InvalidDeclaration(f"{name} declares no {what}") from exc
    except Exception as exc:
        raise InvalidDeclaration(f"{name}: {what}: {user_code.format_exception(exc)}") from exc


def check_class(declared: type[Operation]) -> None:
    """Raise InvalidDeclaration if an attribute of the class has a wrong type or an old name."""
    name = get_operation_name(declared)
    check_renamed_attributes(name, declared)
    if declared.example is not None or hasattr(declared, "model"):
        check_model(name, getattr(declared, "model", None))
    params = declared.Params
    if not (isinstance(params, type) and issubclass(params, forms.BaseForm)):
        raise InvalidDeclaration(
            f"{name}: Params is {params!r}, which is not a form class: inherit from forms.Form"
        )
    if taken := sorted(RESERVED_PARAM_NAMES & params.base_fields.keys()):
        raise InvalidDeclaration(
            f"{name}: the parameter {taken[0]} is also an option of every command: rename it"
        )
    for part in ("columns", "depends_on"):
        if isinstance(getattr(declared, part), str | set | frozenset):
            raise InvalidDeclaration(f"{name}: {part} is {getattr(declared, part)!r}; give a list of names")
    if not isinstance(declared.estimated_rate, int | float) or declared.estimated_rate <= 0:
        raise InvalidDeclaration(f"{name}: estimated_rate is {declared.estimated_rate!r}; give rows a second")


def check_renamed_attributes(name: str, declared: object) -> None:
    """Raise InvalidDeclaration if the class, or an instance of it, has an attribute by its old name."""
    if old := next((each for each in RENAMED_ATTRIBUTES if hasattr(declared, each)), None):
        raise InvalidDeclaration(
            f"{name}: the attribute {old} is now called {RENAMED_ATTRIBUTES[old]}: rename it in the class"
        )


def get_operation_name(declared: type[Operation]) -> str:
    """Return the name. Raises InvalidDeclaration if it cannot be typed at a command line."""
    if not (isinstance(declared, type) and issubclass(declared, Operation)):
        raise InvalidDeclaration(f"{declared!r} is not an operation: inherit from ops.operations.Operation")
    try:
        return validate_operation_name(getattr(declared, "name", ""))
    except InvalidDeclaration as exc:
        raise InvalidDeclaration(f"{declared.__qualname__}.name: {exc}") from None


def validate_operation_name(name: object) -> str:
    """Return the name. Raises InvalidDeclaration if it cannot be typed at a command line."""
    if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name)):
        raise InvalidDeclaration(
            f"{name!r} is not a valid operation name. Use lower-case letters, digits and underscores,"
            " for example lower_titles."
        )
    return name


def check_model(name: str, model: Any) -> None:
    """Raise InvalidDeclaration unless it is a model with a table."""
    if model is None:
        raise InvalidDeclaration(f"{name} names no model: give one, for example `model = Card`")
    if not (isinstance(model, type) and issubclass(model, Model)):
        raise InvalidDeclaration(f"{name}: model is {model!r}; give the class")
    if model._meta.abstract:
        raise InvalidDeclaration(f"{name}: {model.__name__} is abstract, so it has no table")


def clean_example(declared: type[Operation]) -> dict[str, Any]:
    """Return the example as the form would clean it, as far as that needs no database.

    Raises InvalidDeclaration.
    """
    name, fields, example = declared.name, declared.Params.base_fields, declared.example or {}
    if not isinstance(example, Mapping):
        raise InvalidDeclaration(f"{name}: example is {example!r}; give parameters by name, or None")
    if unknown := sorted(set(example) - set(fields)):
        raise InvalidDeclaration(f"{name}: example gives {unknown[0]}, which is not a parameter")
    if missing := sorted({each for each, field in fields.items() if field.required} - set(example)):
        raise InvalidDeclaration(f"{name}: example lacks the parameters {', '.join(missing)}")
    return {each: _clean_param(name, each, field, example.get(each)) for each, field in fields.items()}


def _clean_param(name: str, param: str, field: forms.Field, value: Any) -> Any:
    choices = getattr(field, "choices", ())
    if value is None or isinstance(choices, CallableChoiceIterator | forms.models.ModelChoiceIterator):
        return value
    try:
        return field.clean(value)
    except ValidationError as exc:
        raise InvalidDeclaration(f"{name}: example: {param}: {' '.join(exc.messages)}") from exc
    except Exception:
        return value  # it needs more than the field


def get_operation_queryset(operation: Operation) -> QuerySet[Any]:
    """Return the operation's queryset. Raises InvalidDeclaration if it is not one."""
    with wrap_declaration_errors(operation.name, "get_queryset()"):
        rows: Any = operation.get_queryset()
    if isinstance(rows, Manager):
        raise InvalidDeclaration(f"{operation.name}: get_queryset() returned a manager: add .all()")
    if not isinstance(rows, QuerySet):
        raise InvalidDeclaration(
            f"{operation.name}: get_queryset() returned {_describe_type(rows)}, not a queryset"
        )
    return rows


def check_changes(operation: Operation) -> None:
    """Raise InvalidDeclaration unless ``get_changes`` returns a mapping, of ``columns`` if set."""
    if operation.is_per_row():
        return
    if type(operation).get_changes is Operation.get_changes:
        raise InvalidDeclaration(
            f"{operation.name} writes no column: give get_changes(), or columns and process()"
        )
    with wrap_declaration_errors(operation.name, "get_changes()"):
        changes: Any = operation.get_changes()
    if not isinstance(changes, Mapping):
        raise InvalidDeclaration(
            f"{operation.name}: get_changes() returned {_describe_type(changes)}, not a mapping"
        )
    if operation.columns and set(operation.columns) != set(changes):
        columns = f"columns are {', '.join(operation.columns)}, and get_changes() sets {', '.join(changes)}"
        raise InvalidDeclaration(f"{operation.name}: {columns}; set columns only with process()")


def check_statement(operation: Operation) -> None:
    """Raise InvalidDeclaration if the ORM cannot compile the statement."""
    what = "get_queryset()" if operation.is_per_row() else "get_queryset() or get_changes()"
    with wrap_declaration_errors(operation.name, what):
        compile_declaration(operation)


def check_field_names(operation: Operation, rows: QuerySet[Any]) -> None:
    """Raise InvalidDeclaration if ``display_field`` or ``group_by`` is not a field of the model."""
    name, display_field, group_by = operation.name, operation.display_field, operation.group_by
    try:
        operation.model._base_manager.values_list("pk", display_field)
    except (FieldError, TypeError, AttributeError) as exc:
        raise InvalidDeclaration(f"{name}: display_field is {display_field!r}: {exc}") from exc
    try:
        if group_by is not None:
            rows.order_by().values_list(group_by).annotate(count=Count("pk"))
    except (FieldError, TypeError, AttributeError) as exc:
        raise InvalidDeclaration(f"{name}: group_by is {group_by!r}: {exc}") from exc


def collect_notes(operation: Operation, run: Run | None) -> list[str]:
    """What ``get_notes`` returns, or the error that it raised: a note must not fail a run that has ended."""
    try:
        return list(operation.get_notes(run))
    except Error:
        raise
    except Exception as exc:
        return [f"get_notes(): {user_code.format_exception(exc)}"]


def check_checks(operation: Operation) -> None:
    """Raise InvalidDeclaration if the rows of a check cannot be counted and filtered by a scope."""
    with wrap_declaration_errors(operation.name, "get_checks()"):
        checks = list(operation.get_checks())
    for check in checks:
        if not (isinstance(check, Check) and isinstance(check.queryset, QuerySet)):
            raise InvalidDeclaration(
                f"{operation.name}: get_checks() returned {_describe_type(check)},"
                " not a list of Check(label, queryset)"
            )
        query = check.queryset.query
        if query.is_sliced or query.combinator or query.select_for_update:
            raise InvalidDeclaration(
                f"{operation.name}: the check {check.label!r} is sliced, combined or locks:"
                " filter its queryset"
            )


def _describe_type(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
