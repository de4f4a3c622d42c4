"""Compare the migrations of the code with those recorded in the database, and with the models."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.apps import apps
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

MigrationKey = tuple[str, str]


@dataclass
class MigrationStatus:
    """The migrations of the database, in the order of application.

    ``unknown`` ones are recorded but not in this code. ``model_changes`` are, by app, the changes of models
    that have no migration.
    """

    loader: MigrationLoader
    applied: list[Migration] = field(default_factory=list)
    unapplied: list[Migration] = field(default_factory=list)
    unknown: list[MigrationKey] = field(default_factory=list)
    model_changes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def conflicts(self) -> dict[str, list[str]]:
        """The apps with more than one leaf migration."""
        return {app: sorted(names) for app, names in self.loader.detect_conflicts().items()}


def read_migration_status() -> MigrationStatus:
    """Read the recorded migrations and compare the models with the migrations."""
    loader = MigrationLoader(connection)
    status = MigrationStatus(loader, unknown=_find_unknown(loader))
    for key in _ordered_keys(loader):
        migrations = status.applied if key in loader.applied_migrations else status.unapplied
        migrations.append(loader.graph.nodes[key])
    if not status.conflicts:
        status.model_changes = _detect_model_changes(loader)
    return status


def count_unapplied(database: BaseDatabaseWrapper) -> int:
    """Count the migrations of this code that the database has not recorded."""
    executor = MigrationExecutor(database)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def missing_tables(database: BaseDatabaseWrapper) -> list[str]:
    """Return the tables of this code's models that the database lacks, by one query."""
    introspection = database.introspection
    return sorted({*introspection.django_table_names()} - {*introspection.table_names()})


def migration_label(migration: Migration) -> str:
    return f"{migration.app_label}.{migration.name}"


def _ordered_keys(loader: MigrationLoader) -> list[MigrationKey]:
    ordered: dict[MigrationKey, None] = {}
    for leaf in sorted(loader.graph.leaf_nodes()):
        ordered |= dict.fromkeys(loader.graph.forwards_plan(leaf))
    return list(ordered)


def _find_unknown(loader: MigrationLoader) -> list[MigrationKey]:
    """Return the applied migrations that this code lacks, unless a squashed one replaces them."""
    own = set(loader.disk_migrations) | {
        replaced for migration in loader.disk_migrations.values() for replaced in migration.replaces
    }
    labels = {config.label for config in apps.get_app_configs()}
    return sorted(key for key in loader.applied_migrations if key not in own and key[0] in labels)


def _detect_model_changes(loader: MigrationLoader) -> dict[str, list[str]]:
    """Describe, by app, what makemigrations would write."""
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
    changes = detector.changes(graph=loader.graph)
    return {
        app: [operation.describe() for migration in migrations for operation in migration.operations]
        for app, migrations in changes.items()
    }
