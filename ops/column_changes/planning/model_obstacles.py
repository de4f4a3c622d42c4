"""What is in the way of a column change by its model or by other changes; the tables are not looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import connection
from django.db.models import AutoField, BigAutoField, Field, SmallAutoField

from ops.column_changes import registry
from ops.column_changes.backfill import build_operation
from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.planning.key_obstacles import find_model_key_obstacles
from ops.column_changes.position import current_step
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.models import Claim, ColumnChangeEvent
from ops.operations import registry as operations
from ops.operations.validation import model_label
from ops.runs.next_steps import RunAction, format_run_command

Check = Callable[[type[BaseColumnChange]], Iterator[str]]


def find_model_obstacles(change: type[BaseColumnChange]) -> list[str]:
    """Return what is in the way, in words."""
    if found := [obstacle for check in _CHECKS for obstacle in check(change)]:
        return found
    if not issubclass(change, ColumnChange):
        return []
    error = operations.get_validation_error(build_operation(change))
    return [error] if error else []


def _check_unmanaged(change: type[BaseColumnChange]) -> Iterator[str]:
    if not change.model._meta.managed:
        yield (
            f"{change.model._meta.label} is not managed by Django (managed = False), so a migration would not"
            " add the column. Write the change by hand."
        )


def _check_proxy(change: type[BaseColumnChange]) -> Iterator[str]:
    meta = change.model._meta
    if meta.proxy and meta.concrete_model:
        yield f"{meta.label} is a proxy. Declare the change for {meta.concrete_model._meta.label}."


def _check_inherited(change: type[BaseColumnChange]) -> Iterator[str]:
    for field in _fields(change):
        if field.model._meta.concrete_model is not change.model._meta.concrete_model:
            yield (
                f"{change.model._meta.label} has {field.name} from {field.model._meta.label}, whose table has"
                f" the column. Declare the change for {field.model._meta.label}."
            )


def _check_no_column(change: type[BaseColumnChange]) -> Iterator[str]:
    for field in _fields(change):
        if not field.concrete or field.column is None or field.many_to_many:
            yield f"{field.name} is a {type(field).__name__}, which has no column of its own."


def _check_generated(change: type[BaseColumnChange]) -> Iterator[str]:
    for field in _fields(change):
        if getattr(field, "generated", False) and issubclass(change, ColumnChange):
            yield f"{field.name} is a generated column, which nobody can write. Change its expression."
        elif getattr(field, "generated", False):
            yield (
                f"{field.name} is a generated column: nobody writes it, and it can be computed again. Remove"
                f" it from the model, and then: {manage_command('makemigrations')}"
            )


def _check_primary_key(change: type[BaseColumnChange]) -> Iterator[str]:
    if issubclass(change, ColumnChange) and change.is_key():
        yield from find_model_key_obstacles(change)
        return
    for field in _fields(change):
        if field.primary_key:
            others = [
                getattr(each, "through", None) or each.related_model
                for each in change.model._meta.related_objects
            ]
            related = ", ".join(sorted(other._meta.label for other in others))
            also = f" Other models refer to it: {related}." if related else ""
            yield (
                f"{field.name} is the primary key of {field.model._meta.label}.{also} A column change"
                " supports only integers that become wider, with swap = True."
            )


def _check_auto_field(change: type[BaseColumnChange]) -> Iterator[str]:
    for field in _fields(change):
        if not field.primary_key and isinstance(field, AutoField | BigAutoField | SmallAutoField):
            yield (
                f"{field.name} is of the type {type(field).__name__}: its values come from a sequence. A"
                " column change does not support that."
            )


def _check_auto_now(change: type[BaseColumnChange]) -> Iterator[str]:
    for field in _fields(change) if issubclass(change, ColumnChange) else ():
        if option := next((o for o in ("auto_now", "auto_now_add") if getattr(field, o, False)), None):
            advice = "Use db_default=Now()" if option == "auto_now_add" else "Set it in your own code"
            yield (
                f"{field.name} has {option}=True, so Django writes the time into it and not the value of the"
                f" other column. {advice} instead."
            )


def _check_other_changes(change: type[BaseColumnChange]) -> Iterator[str]:
    names, label = {*change.fields()}, model_label(change.model)
    for other in registry.list_changes():
        if other.name == change.name or model_label(other.model) != label:
            continue
        if (shared := sorted(names & {*other.fields()})) and _step_of(other) != Step.DROP:
            yield (
                f"The column change {other.name} works on {shared[0]} too. Let it take all its steps first:"
                f" {manage_command('column_change', other.name)}"
            )


def _step_of(change: type[BaseColumnChange]) -> Step | None:
    is_there = ColumnChangeEvent._meta.db_table in connection.introspection.table_names()
    return current_step(change.name) if is_there else None


def _check_claims(change: type[BaseColumnChange]) -> Iterator[str]:
    if Claim._meta.db_table not in connection.introspection.table_names():
        return
    claims = Claim.objects.filter(model=model_label(change.model), column__in=change.fields())
    for claim in claims.select_related("run").order_by("pk"):
        yield (
            f"Run {claim.run.pk} ({claim.run.operation}) writes {claim.column} at the moment. Let it finish,"
            f" or cancel it: {format_run_command(claim.run.pk, RunAction.CANCEL)}"
        )


def _fields(change: type[BaseColumnChange]) -> list[Field]:  # type: ignore[type-arg]
    return [change.model._meta.get_field(name) for name in change.fields()]  # type: ignore[misc]


_CHECKS: tuple[Check, ...] = (
    _check_unmanaged,
    _check_proxy,
    _check_inherited,
    _check_no_column,
    _check_generated,
    _check_primary_key,
    _check_auto_field,
    _check_auto_now,
    _check_other_changes,
    _check_claims,
)
