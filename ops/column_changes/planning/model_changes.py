"""What a column change adds to the migrations: the new field, nullable at first, and what constrains it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.core.management.commands.makemigrations import Command as MakeMigrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterUniqueTogether,
    SeparateDatabaseAndState,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED, Field, ForeignKey, OneToOneField

from ops.column_changes.declaration import ColumnChange
from ops.column_changes.meta_references import has_reference
from ops.column_changes.planning.migration_files import Dependency, MigrationNotWritten
from ops.command_lines import manage_command


@dataclass
class ModelChanges:
    """The operations that bring the migrations to the models: those of a column change, and the others.

    ``add_field`` is None where the migrations have the field: ``is_not_null`` tells whether they have it as
    NOT NULL. ``state_only`` is what the database has no part in, or not yet. ``others`` are descriptions.
    """

    add_field: AddField | None = None
    is_not_null: bool = False
    constrain: list[Operation] = field(default_factory=list)
    state_only: list[Operation] = field(default_factory=list)
    dependencies: list[Dependency] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


class _Questioner(MigrationQuestioner):
    def ask_not_null_alteration(self, field_name: str, model_name: str) -> Any:
        return NOT_PROVIDED  # the backfill has filled it


def detect_changes(change: type[ColumnChange], loader: MigrationLoader) -> ModelChanges:
    """Compare the models with the migrations, in which the new field may be already."""
    app_label, model_name = change.model._meta.app_label, str(change.model._meta.model_name)
    changes, state = ModelChanges(), loader.project_state()
    _require_models(change, state)
    fields = state.models[app_label, model_name].fields
    if change.new not in fields:
        new_field = change().new_field()
        changes.add_field = AddField(model_name, change.new, nullable_field(new_field))
        changes.add_field.state_forwards(app_label, state)
        changes.dependencies = _field_dependencies(new_field, loader)
    else:
        changes.is_not_null = not fields[change.new].null
    missing = {each.name for each in change.model._meta.local_fields} - fields.keys()
    detector = MakeMigrations.autodetector(state.clone(), ProjectState.from_apps(apps), _Questioner())
    for app, migrations in detector.changes(graph=loader.graph).items():
        for operation in (each for migration in migrations for each in migration.operations):
            if app == app_label and _constrains(operation, model_name, change.new, missing):
                _add_constraint(changes, operation, fields[change.new])
            else:
                changes.others.append(f"{app}: {operation.describe()}")
    return changes


def _require_models(change: type[ColumnChange], state: ProjectState) -> None:
    """Raise MigrationNotWritten unless the migrations have the model, and the one to which it refers."""
    related = change().new_field().related_model
    for model in (change.model, related):
        if isinstance(model, type) and (model._meta.app_label, model._meta.model_name) not in state.models:
            without = f", without the field {change.new}" if model is related else ""
            raise MigrationNotWritten(
                f"The model {model._meta.label} has no migration yet.",
                f"Write it first{without}: {manage_command('makemigrations', model._meta.app_label)}",
            )


def _constrains(operation: Operation, model_name: str, new: str, missing: set[str]) -> bool:
    """Whether the operation constrains the new field, and no field that has no migration yet."""
    if isinstance(operation, AlterField):
        return operation.model_name_lower == model_name and operation.name_lower == new.lower()
    if isinstance(operation, AddConstraint) and operation.model_name_lower == model_name:
        named = fields_of(operation.constraint, {new, *missing})
    elif isinstance(operation, AddIndex) and operation.model_name_lower == model_name:
        named = fields_of(operation.index, {new, *missing})
    elif isinstance(operation, AlterUniqueTogether) and operation.name_lower == model_name:
        named = {name for names in operation.unique_together or () for name in names}
    else:
        return False
    return new in named and not named & missing


def fields_of(value: Any, names: Iterable[str]) -> set[str]:
    """Return those of the names that are fields which a constraint or an index names."""
    return {name for name in names if has_reference(value, name)}


# Note [Defaults of a new column]
# While both columns are in use, a default of the new one would look like a value in a row that names only the
# old one, and ADD COLUMN would fill the rows that are there. So the database gets it when the old column is
# retired, and Django's state at once: code that knows the field writes DEFAULT, which is NULL until then. Of
# these options Django makes a default when it alters a column, and updates the rows that are NULL.
_DEFAULTS = ("default", "db_default", "blank")


def nullable_field(final: Field[Any, Any]) -> Field[Any, Any]:
    """Return the field as expand adds it: without a default, and without what would scan the table."""
    kind: type[Field[Any, Any]] = ForeignKey if isinstance(final, OneToOneField) else type(final)
    options: dict[str, Any] = {"null": True}
    if getattr(final, "db_index", False):
        options["db_index"] = False
    if isinstance(final, ForeignKey):
        options["db_constraint"] = False
    return _field_with(final, kind, ("unique", "primary_key", *_DEFAULTS), options)


def _field_with(
    final: Field[Any, Any], kind: type[Field[Any, Any]], without: tuple[str, ...], options: Mapping[str, Any]
) -> Field[Any, Any]:
    _, _, args, kwargs = final.deconstruct()
    kept = {name: value for name, value in kwargs.items() if name not in without}
    return kind(*args, **{**kept, **options})


def _add_constraint(changes: ModelChanges, operation: Operation, before: Field[Any, Any]) -> None:
    """Add the operation, split where it sets a default: see Note [Defaults of a new column]."""
    if not isinstance(operation, AlterField):
        changes.constrain.append(operation)
        return
    plain, plain_before = (
        _field_with(each, type(each), _DEFAULTS, {}).deconstruct()[1:] for each in (operation.field, before)
    )
    final = operation.field.deconstruct()[1:]
    if plain != plain_before:
        field = _field_with(operation.field, type(operation.field), _DEFAULTS, {})
        changes.constrain.append(AlterField(operation.model_name, operation.name, field))
    if plain != final:
        changes.state_only.append(SeparateDatabaseAndState(state_operations=[operation]))


def _field_dependencies(new_field: Field[Any, Any], loader: MigrationLoader) -> list[Dependency]:
    """Return the migrations that have the model to which it refers."""
    if not isinstance(new_field, ForeignKey):
        return []
    if new_field.swappable_setting:
        return [("__setting__", new_field.swappable_setting)]
    app_label = new_field.related_model._meta.app_label
    own = new_field.model._meta.app_label
    return [] if app_label == own else list(loader.graph.leaf_nodes(app_label))
