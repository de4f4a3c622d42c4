"""Plan a column change: the migrations that expand and constrain, written from the models."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import Field

from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.key_operations import FollowForeignKey, PrepareKey
from ops.column_changes.migration_operations import AddDualWrite, Gate, RecordStep, find_recording
from ops.column_changes.planning.counterparts import list_missing
from ops.column_changes.planning.followers import list_notes
from ops.column_changes.planning.migration_files import build_migration, load_migrations, write_migrations
from ops.column_changes.planning.model_changes import ModelChanges, detect_changes
from ops.column_changes.planning.model_obstacles import find_model_obstacles
from ops.column_changes.planning.table import ChangedTable, column_type, read_table
from ops.column_changes.planning.table_obstacles import find_obstacles
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.operations.contract import wrap_declaration_errors
from ops.sql.column_defaults import read_defaults
from ops.sql.dual_write import DualWrite, KeyCopy, compile_dual_write
from ops.sql.dual_write_defaults import compile_default, convert_default
from ops.sql.foreign_keys import DJANGO_OPTIONS, read_own_keys
from ops.sql.integers import is_wider, narrowing_template
from ops.sql.row_expression import DualWriteRefused


@dataclass(frozen=True)
class Plan:
    """The migrations to write for a column change.

    Nothing is written while there are ``obstacles``. ``notes`` are what to know before it. ``planned`` are
    the names of the migrations that were written earlier, by step.
    """

    change: type[BaseColumnChange]
    migrations: tuple[Migration, ...] = ()
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    planned: Mapping[Step, str] = field(default_factory=dict)


class PlanRefused(OpsError):
    """Something is in the way of the change; no file was written."""


def plan(change: type[ColumnChange]) -> Plan:
    """Plan the migrations that are not written yet. Raises PlanRefused, or MigrationNotWritten.

    Obstacles are looked for before the first of them is written.
    """
    require_old_field(change)
    _require_new_field(change)
    loader = load_migrations(change.model._meta.app_label)
    written = find_recording(loader.disk_migrations.values(), change.name)
    names = {step: migration.name for step, migration in written.items()}
    if Step.EXPAND not in written and (obstacles := find_model_obstacles(change)):
        return Plan(change, obstacles=tuple(obstacles))
    changes = detect_changes(change, loader)
    others = tuple(_note_others(changes, written))
    if Step.EXPAND in written:
        migrations = _build_migrations(change, loader, changes, written)
        return Plan(change, tuple(migrations), notes=others, planned=names)
    dual_write = compile_change(change)
    table = read_table(change, dual_write)
    if table is None or (changes.add_field is None and table.new not in table.columns):
        return Plan(change, obstacles=(_not_applied(dual_write, changes, is_there=table is not None),))
    return Plan(
        change,
        tuple(_build_migrations(change, loader, changes, written, dual_write)),
        (*find_obstacles(table), *_find_unknown_column(table, changes)),
        (*others, *list_notes(table), *list_missing(table)),
    )


def require_old_field(change: type[BaseColumnChange]) -> None:
    """Raise PlanRefused if the old field has left the model."""
    if not change().has_old_field():
        raise PlanRefused(
            f"{change.name}: {change.model._meta.label} has no field {change.old} now: nothing to plan.",
            f"To go on: {manage_command('column_change', change.name, 'next')}",
        )


def _require_new_field(change: type[ColumnChange]) -> None:
    try:
        change().new_field()
    except FieldDoesNotExist:
        raise PlanRefused(
            f"{change.name}: {change.model._meta.label} has no field {change.new}.", "Add it to the model."
        ) from None


def _not_applied(dual_write: DualWrite, changes: ModelChanges, *, is_there: bool) -> str:
    """Return the obstacle that the table, or the new column, is not there yet."""
    name = f"{dual_write.table}.{dual_write.new}" if is_there else dual_write.table
    if is_there and changes.is_not_null:
        return (
            f"A migration that is not applied adds {name} as NOT NULL, with a value in each row that is not"
            " the one of the old column. Delete that migration, and plan again."
        )
    return f"This database does not have {name} yet. Apply the migrations first: {manage_command('migrate')}"


def _find_unknown_column(table: ChangedTable, changes: ModelChanges) -> Iterator[str]:
    if changes.add_field and table.new in table.columns:
        yield f"{table.name} has a column {table.new} already, which no migration has added. Drop it first."


def write_plan(planned: Plan) -> list[Path]:
    """Write the migrations of the plan, all or none. Raises PlanRefused if there are obstacles."""
    if planned.obstacles:
        raise PlanRefused(
            f"{planned.change.name} cannot be planned:" + "".join(f"\n  {each}" for each in planned.obstacles)
        )
    return write_migrations(planned.migrations)


def _build_migrations(
    change: type[ColumnChange],
    loader: MigrationLoader,
    changes: ModelChanges,
    written: Mapping[Step, Migration],
    dual_write: DualWrite | None = None,
) -> list[Migration]:
    app_label, model_name = change.model._meta.app_label, str(change.model._meta.model_name)
    migrations: list[Migration] = []

    def add(step: Step, operations: list[Operation], dependencies: Any = ()) -> None:
        operations.append(RecordStep(change=change.name, step=step.value))
        after = migrations[-1] if migrations else None
        name = f"{change.name}_{step.value}"
        migrations.append(build_migration(loader, app_label, name, operations, dependencies, after))

    key = dual_write or _find_dual_write(written)
    rest = [*changes.constrain, *_build_key_operations(change, key), *changes.state_only]
    if dual_write:
        expand: list[Operation] = [changes.add_field] if changes.add_field else []
        if not changes.constrain:
            expand, rest = expand + rest, []
        add(Step.EXPAND, [*expand, AddDualWrite(dual_write=dual_write)], changes.dependencies)
    if Step.CONSTRAIN not in written and rest:
        gate = Gate(change=change.name, step=Step.CONSTRAIN.value, model_name=model_name)
        add(Step.CONSTRAIN, [gate, *rest])
    return migrations


def _build_key_operations(change: type[ColumnChange], dual_write: DualWrite) -> Iterator[Operation]:
    """Yield what the step constrain does for a key, or a reference to one, that the models do not tell."""
    if isinstance(dual_write, KeyCopy):
        yield PrepareKey(column=dual_write)
    own = read_own_keys(connection, dual_write.table, dual_write.old)
    if change().new_field().is_relation and any(each.options != DJANGO_OPTIONS for each in own):
        yield FollowForeignKey(column=dual_write)


def _find_dual_write(written: Mapping[Step, Migration]) -> DualWrite:
    """Return what the migration of expand has."""
    operations = written[Step.EXPAND].operations
    return next(each.dual_write for each in operations if isinstance(each, AddDualWrite))


def compile_change(change: type[ColumnChange]) -> DualWrite:
    """Return the dual write of the change. Raises PlanRefused, or InvalidDeclaration, if it cannot be one."""
    declared = change()
    old, new = declared.old_field(), declared.new_field()
    with wrap_declaration_errors(change.name, "get_new_value()"):
        to_new = declared.new_value()
    with wrap_declaration_errors(change.name, "get_old_value()"):
        to_old = declared.old_value()
    keeps = change.unmappable == "keep"
    try:
        dual_write = compile_dual_write(change.name, change.model, old, new, to_new, to_old, keeps=keeps)
    except DualWriteRefused as exc:
        reason = str(exc).rstrip(".")
        raise PlanRefused(
            f"{change.name}: its values cannot be converted by triggers: {reason}.",
            "Declare a mapping, or other get_new_value() and get_old_value().",
        ) from exc
    if change.is_key() or (new.is_relation and change.is_copied_back()):
        dual_write = _narrow(dual_write, old, new)
    if change.is_key():
        return KeyCopy(**dual_write.arguments())
    return replace(dual_write, **_find_default(dual_write, old, new))


def _narrow(dual_write: DualWrite, old: Field[Any, Any], new: Field[Any, Any]) -> DualWrite:
    """Let a key that does not fit the old column have no old value: another would refer to another row."""
    kind, wide = (column_type(dual_write.table, str(field.column), field) for field in (old, new))
    if not is_wider(wide, kind):
        return dual_write
    return replace(dual_write, to_old=narrowing_template(kind), empties=True)


def _find_default(dual_write: DualWrite, old: Field[Any, Any], new: Field[Any, Any]) -> dict[str, Any]:
    """Return the default of the old column: its own, or else that of the new one, converted."""
    own = read_defaults(dual_write.table).get(dual_write.old) or compile_default(connection, old)
    if own is not None:
        return {"default": own}
    converted = convert_default(dual_write, compile_default(connection, new))
    return {} if converted is None else {"default": converted, "has_own_default": False}


def _note_others(changes: ModelChanges, written: Container[Step]) -> Iterator[str]:
    """Yield a note of what makemigrations has to write, also of what came after the step constrain."""
    late = [*changes.constrain, *changes.state_only] if Step.CONSTRAIN in written else []
    others = [*changes.others, *(operation.describe() for operation in late)]
    if others:
        yield (
            f"The models have other changes, which this plan leaves out: {'; '.join(others)}."
            f" To write them afterwards: {manage_command('makemigrations')}"
        )
