"""Write the migrations that retire the old column of a change, and drop it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.apps import apps
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AlterModelOptions
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from ops.column_changes.declaration import ColumnChange
from ops.column_changes.meta_references import with_name
from ops.column_changes.migration_files import MigrationNotWritten, load_migrations, write_migration
from ops.column_changes.migration_operations import (
    AddDualWrite,
    DropColumn,
    Gate,
    RecordStep,
    RetireColumn,
)
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.sql.column_names import retired_name

Found = TypeVar("Found", bound=Operation)


def write_retirement(change: type[ColumnChange]) -> Path:
    """Write the migration that retires the old column, and return its file.

    Raises MigrationNotWritten, as when the old field is still in the model.
    """
    meta = change.model._meta
    loader = load_migrations(meta.app_label)
    expand = _find_operation(loader, change, AddDualWrite, "expand")
    _require_edited_model(change)
    _require_unwritten(loader, change, RetireColumn)
    dual_write, wait = expand.dual_write, timedelta() if change.swap else change.retire_after
    arguments: dict[str, Any] = {
        "model_name": str(meta.model_name),
        "old": change.old,
        "new": change.new,
        "dual_write": dual_write,
        "retired": retired_name(dual_write.old),
        "swap": change.swap,
    }
    renames = _find_renames(loader, change, RetireColumn(**arguments))
    retire = RetireColumn(**arguments, renames=renames)
    return write_migration(
        meta.app_label,
        f"{change.name}_retire",
        [
            Gate(change.name, Step.RETIRE.value, str(meta.model_name), wait, change.swap),
            retire,
            *_find_option_changes(loader, change, retire),
            RecordStep(change.name, Step.RETIRE.value, _reason(change, change.retire_after)),
        ],
    )


def write_drop(change: type[ColumnChange]) -> Path:
    """Write the migration that drops the retired column, and return its file. Raises MigrationNotWritten."""
    meta = change.model._meta
    loader = load_migrations(meta.app_label)
    retire = _find_operation(loader, change, RetireColumn, "retire")
    _require_unwritten(loader, change, DropColumn)
    return write_migration(
        meta.app_label,
        f"{change.name}_drop",
        [
            Gate(change.name, Step.DROP.value, str(meta.model_name), change.drop_after),
            DropColumn(column=retire.retired_column),
            RecordStep(change.name, Step.DROP.value, _reason(change, change.drop_after)),
        ],
    )


def _reason(change: type[ColumnChange], wait: timedelta) -> str:
    return "" if wait else change.no_wait_reason


def _require_edited_model(change: type[ColumnChange]) -> None:
    names = {field.name for field in change.model._meta.get_fields()}
    gone, stays = (change.new, change.old) if change.swap else (change.old, change.new)
    if gone not in names and stays in names:
        return
    label = change.model._meta.label
    edit = (
        f"Remove {change.old} there, and rename {change.new} to {change.old}"
        if change.swap
        else f"Remove {change.old} there, and all that names it"
    )
    problem = f"the field {gone} is still there" if gone in names else f"the field {stays} is not there"
    raise MigrationNotWritten(
        f"The model {label} is not as it shall be after retire: {problem}.",
        f"{edit}. Then: {manage_command('column_change', change.name, 'next')}",
    )


def _operations(loader: MigrationLoader, change: type[ColumnChange]) -> Iterator[tuple[str, Any]]:
    """Yield the operations of the change with the names of their migrations, in their order."""
    for leaf in loader.graph.leaf_nodes(change.model._meta.app_label):
        for key in loader.graph.forwards_plan(leaf):
            for operation in loader.graph.nodes[key].operations:
                dual_write = getattr(operation, "dual_write", None)
                if dual_write and dual_write.change == change.name:
                    yield ".".join(key), operation


def _find_operation(
    loader: MigrationLoader, change: type[ColumnChange], kind: type[Found], step: str
) -> Found:
    found = [operation for _, operation in _operations(loader, change) if isinstance(operation, kind)]
    if not found:
        raise MigrationNotWritten(
            f"There is no migration of the step {step} of {change.name}.",
            f"To see where it stands: {manage_command('column_change', change.name)}",
        )
    return found[-1]


def _require_unwritten(loader: MigrationLoader, change: type[ColumnChange], kind: type[Operation]) -> None:
    for name, operation in _operations(loader, change):
        if isinstance(operation, kind):
            raise MigrationNotWritten(
                f"The migration is there already: {name}.", f"Then: {manage_command('migrate')}"
            )


def _state_after(loader: MigrationLoader, change: type[ColumnChange], retire: RetireColumn) -> ProjectState:
    state = loader.project_state()
    retire.state_forwards(change.model._meta.app_label, state)
    return state


def _find_renames(
    loader: MigrationLoader, change: type[ColumnChange], retire: RetireColumn
) -> dict[str, str]:
    """Return the constraints and indexes that differ from those of the model in their names alone."""
    meta = change.model._meta
    there = _state_after(loader, change, retire).models[meta.app_label, str(meta.model_name)]
    wanted = ModelState.from_model(change.model)
    renames = {}
    for kind in ("indexes", "constraints"):
        free = {each.name: each for each in wanted.options[kind]}
        left = {each.name: each for each in there.options[kind] if not free.pop(each.name, None)}
        for name, value in left.items():
            same = (new for new, each in free.items() if with_name(each, name) == value)
            if new := next(same, None):
                renames[name] = new
                del free[new]
    return renames


def _find_option_changes(
    loader: MigrationLoader, change: type[ColumnChange], retire: RetireColumn
) -> list[Operation]:
    """Return what brings the other options of the model along, such as an ordering by the old field."""
    meta = change.model._meta
    detector = MigrationAutodetector(_state_after(loader, change, retire), ProjectState.from_apps(apps))
    migrations = detector.changes(loader.graph, trim_to_apps={meta.app_label}).get(meta.app_label, [])
    return [
        operation
        for migration in migrations
        for operation in migration.operations
        if isinstance(operation, AlterModelOptions) and operation.name_lower == meta.model_name
    ]
