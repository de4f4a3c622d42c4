"""The field that a swap leaves in the model, which differs from the new one in more than its name."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Field
from django.db.models.fields import AutoFieldMixin

from ops.column_changes.declaration import ColumnChange
from ops.column_changes.planning.migration_files import MigrationNotWritten
from ops.command_lines import manage_command


def find_final_field(change: type[ColumnChange], state: ProjectState) -> Field[Any, Any] | None:
    """Return the model's field where it differs from the state's in what the database has no part in.

    As two foreign keys to one model cannot have the same related_name.
    """
    meta = change.model._meta
    there = state.models[meta.app_label, str(meta.model_name)].fields[change.old]
    wanted = ModelState.from_model(change.model).fields[change.old]
    is_same = _describe(there) == _describe(wanted)
    is_same_column = change().old_column() == state_column(state, change)
    if is_same or not is_same_column or _describe(there, db_only=True) != _describe(wanted, db_only=True):
        return None
    return wanted


def state_column(state: ProjectState, change: type[ColumnChange]) -> str:
    """Return the name of the old field's column in Django's state."""
    model = state.apps.get_model(change.model._meta.app_label, change.model.__name__)
    return str(model._meta.get_field(change.old).column)


def _describe(field: Field[Any, Any], *, db_only: bool = False) -> Any:
    _, path, args, options = field.deconstruct()
    left_out = field.non_db_attrs if db_only else ()
    return path, args, {name: value for name, value in options.items() if name not in left_out}


def find_final_key(loader: MigrationLoader, change: type[ColumnChange]) -> Field[Any, Any]:
    """Return the primary key of the model. Raises MigrationNotWritten unless it is one of the new type."""
    meta = change.model._meta
    before = loader.project_state().models[meta.app_label, str(meta.model_name)].fields
    wanted = change().old_field()
    kind, new_kind = wanted.db_type(connection), before[change.new].db_type(connection)
    is_auto = isinstance(before[change.old], AutoFieldMixin)
    is_same_kind = wanted.primary_key and isinstance(wanted, AutoFieldMixin) == is_auto
    column = state_column(loader.project_state(), change)
    if is_same_kind and kind == new_kind and wanted.column == column:
        return ModelState.from_model(change.model).fields[change.old]
    name = ("Big" if new_kind == "bigint" else "") + ("Auto" if is_auto else "Integer")
    db_column = "" if column == change.old else f", db_column={column!r}"
    raise MigrationNotWritten(
        f"{meta.label}.{change.old} is not as it shall be after retire: it is a {type(wanted).__name__},"
        f" of the type {kind}, in the column {wanted.column}.",
        f"Write: {change.old} = models.{name}Field(primary_key=True{db_column}). Then:"
        f" {manage_command('column_change', change.name, 'next')}",
    )
