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

from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.key_operations import PrepareKeyAgain, RequireFittingKeys, RetireKey
from ops.column_changes.meta_references import with_name
from ops.column_changes.migration_operations import (
    AddDualWrite,
    CompareColumns,
    DropColumn,
    Gate,
    RecordStep,
    WatchColumn,
)
from ops.column_changes.planning.final_field import find_final_field, find_final_key
from ops.column_changes.planning.migration_files import MigrationNotWritten, load_migrations, write_migration
from ops.column_changes.retire_operations import RetireColumn, RetireOperation, RetireWatchedColumn
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.sql.column_names import retired_name
from ops.sql.dual_write import DualWrite, KeyCopy
from ops.sql.watched_column import WatchedColumn

Found = TypeVar("Found", bound=Operation)


def write_retirement(change: type[BaseColumnChange]) -> Path:
    """Write the migration that retires the old column, and return its file.

    Raises MigrationNotWritten, as when the old field is still in the model.
    """
    meta = change.model._meta
    loader = load_migrations(meta.app_label)
    _require_edited_model(change)
    _require_unwritten(loader, change, RetireOperation)
    retire = _build_retire(loader, change)  # by what the model has and the migrations have not
    return write_migration(
        meta.app_label,
        f"{change.name}_retire",
        [
            _build_retire_gate(change),
            *_compare(retire.column),
            *_surround(retire),
            *_find_option_changes(loader, change, retire),
            RecordStep(change.name, Step.RETIRE.value, _reason(change, change.retire_after)),
        ],
    )


def _build_retire(loader: MigrationLoader, change: type[BaseColumnChange]) -> RetireOperation:
    model_name = str(change.model._meta.model_name)
    if not issubclass(change, ColumnChange):
        column = _find_operation(loader, change, WatchColumn, "expand").column
        return RetireWatchedColumn(model_name, change.old, column, retired_name(column.old))
    dual_write = _find_operation(loader, change, AddDualWrite, "expand").dual_write
    names = model_name, change.old, change.new, dual_write, retired_name(dual_write.old)
    if isinstance(dual_write, KeyCopy):
        key = find_final_key(loader, change)
        renames = _find_renames(loader, change, RetireKey(*names, key))
        return RetireKey(*names, key, renames)
    retire = RetireColumn(*names, change.swap)
    renames = _find_renames(loader, change, retire)
    field = find_final_field(change, _state_after(loader, change, retire)) if change.swap else None
    return RetireColumn(*names, change.swap, renames, field)


def _surround(retire: RetireOperation) -> list[Operation]:
    """Return the retirement, with what the way back of a primary key needs."""
    if not isinstance(retire, RetireKey):
        return [retire]
    again, fitting = PrepareKeyAgain(retire.dual_write), RequireFittingKeys(retire.retired_dual_write)
    return [again, retire, fitting]


def _build_retire_gate(change: type[BaseColumnChange]) -> Gate:
    model_name, swap = str(change.model._meta.model_name), change.keeps_name()
    wait = change.get_wait(Step.RETIRE)
    after = None if issubclass(change, ColumnChange) else Step.EXPAND.value
    return Gate(change.name, Step.RETIRE.value, model_name, wait, swap, after)


def write_drop(change: type[BaseColumnChange]) -> Path:
    """Write the migration that drops the retired column, and return its file. Raises MigrationNotWritten."""
    meta = change.model._meta
    loader = load_migrations(meta.app_label)
    retire = _find_operation(loader, change, RetireOperation, "retire")
    _require_unwritten(loader, change, DropColumn)
    return write_migration(
        meta.app_label,
        f"{change.name}_drop",
        [
            Gate(change.name, Step.DROP.value, str(meta.model_name), change.get_wait(Step.DROP)),
            *_compare(retire.retired_column),
            DropColumn(column=retire.retired_column),
            RecordStep(change.name, Step.DROP.value, _reason(change, change.drop_after)),
        ],
    )


def _compare(column: WatchedColumn) -> list[Operation]:
    """Return the comparison of the two columns, where there are two."""
    return [CompareColumns(column)] if isinstance(column, DualWrite) else []


def _reason(change: type[BaseColumnChange], wait: timedelta) -> str:
    return "" if wait else change.no_wait_reason


def _require_edited_model(change: type[BaseColumnChange]) -> None:
    if change.is_left():
        return
    label, (gone, kept) = change.model._meta.label, change.gone_and_kept()
    edit = f"rename {gone} to {kept}" if change.keeps_name() else "all that names it"
    is_there = gone in change.field_names()
    problem = f"the field {gone} is still there" if is_there else f"the field {kept} is not there"
    raise MigrationNotWritten(
        f"The model {label} is not as it shall be after retire: {problem}.",
        f"Remove {change.old} there, and {edit}. Then:"
        f" {manage_command('column_change', change.name, 'next')}",
    )


def _operations(loader: MigrationLoader, change: type[BaseColumnChange]) -> Iterator[tuple[str, Any]]:
    """Yield the operations of the change with the names of their migrations, in their order."""
    for leaf in loader.graph.leaf_nodes(change.model._meta.app_label):
        for key in loader.graph.forwards_plan(leaf):
            for operation in loader.graph.nodes[key].operations:
                column = getattr(operation, "column", None)
                if isinstance(column, WatchedColumn) and column.change == change.name:
                    yield ".".join(key), operation


def _find_operation(
    loader: MigrationLoader, change: type[BaseColumnChange], kind: type[Found], step: str
) -> Found:
    found = [operation for _, operation in _operations(loader, change) if isinstance(operation, kind)]
    if not found:
        raise MigrationNotWritten(
            f"There is no migration of the step {step} of {change.name}.",
            f"To see where it stands: {manage_command('column_change', change.name)}",
        )
    return found[-1]


def _require_unwritten(
    loader: MigrationLoader, change: type[BaseColumnChange], kind: type[Operation]
) -> None:
    for name, operation in _operations(loader, change):
        if isinstance(operation, kind):
            raise MigrationNotWritten(
                f"The migration is there already: {name}.", f"Then: {manage_command('migrate')}"
            )


def _state_after(
    loader: MigrationLoader, change: type[BaseColumnChange], retire: RetireOperation
) -> ProjectState:
    state = loader.project_state()
    retire.state_forwards(change.model._meta.app_label, state)
    return state


def _find_renames(
    loader: MigrationLoader, change: type[BaseColumnChange], retire: RetireOperation
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
    loader: MigrationLoader, change: type[BaseColumnChange], retire: RetireOperation
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
