"""Find the migrations that take the steps of a change, and what applying or reverting one includes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.exceptions import BadMigrationError, NodeNotFoundError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from ops.column_changes.declaration import BaseColumnChange
from ops.column_changes.migration_operations import WatchColumn, find_recording
from ops.column_changes.steps import Step
from ops.exceptions import OpsError


class MigrationsNotLoaded(OpsError):
    """The migration files cannot be imported, or depend on some that are missing."""


@dataclass(frozen=True)
class StepMigration:
    """A migration that takes a step: ``app`` and ``name`` are what ``migrate`` takes."""

    app: str
    name: str
    is_applied: bool

    def __str__(self) -> str:
        return f"{self.app}.{self.name}"


def find_step_migrations(change: str) -> dict[Step, StepMigration]:
    """Return the migrations of the change by the step that they record. Raises MigrationsNotLoaded."""
    loader = _load()
    found = find_recording(loader.graph.nodes.values(), change)
    return {
        step: StepMigration(
            migration.app_label,
            migration.name,
            (migration.app_label, migration.name) in loader.applied_migrations,
        )
        for step, migration in found.items()
    }


def find_old_column(change: type[BaseColumnChange]) -> str:
    """Return the old column's name; once its field has left the model, the one that a migration has."""
    if not change().has_old_field():
        loader = MigrationLoader(None, load=False)
        with suppress(BadMigrationError):
            loader.load_disk()
        for migration in loader.disk_migrations.values():
            for operation in migration.operations:
                if isinstance(operation, WatchColumn) and operation.column.change == change.name:
                    return operation.column.old
    return change().old_column()


def list_to_apply(migration: StepMigration) -> list[Migration]:
    """Return what ``migrate`` applies: the migration, and those before it that are not applied."""
    plan = MigrationExecutor(connection).migration_plan([(migration.app, migration.name)])
    return [each for each, _ in plan]


def target_before(migration: StepMigration) -> str:
    """Return what to type after ``migrate APP`` to take the migration back: the one before it, or zero."""
    parents = _load().graph.node_map[migration.app, migration.name].parents
    names = sorted(parent.key[1] for parent in parents if parent.key[0] == migration.app)
    return names[-1] if names else "zero"


def list_to_take_back(migration: StepMigration) -> list[Migration]:
    """Return what ``migrate`` takes back: the migration, and before it those that were applied later."""
    before = target_before(migration)
    target = (migration.app, None if before == "zero" else before)
    plan = MigrationExecutor(connection).migration_plan([target])
    return [each for each, _ in plan]


def _load() -> MigrationLoader:
    try:
        return MigrationLoader(connection)
    except (BadMigrationError, NodeNotFoundError) as exc:
        raise MigrationsNotLoaded(f"The migrations cannot be loaded: {exc}.") from exc
