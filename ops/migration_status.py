"""Which migrations the database has, lacks, or has beyond this code; and models that no migration tells."""

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
    """``applied``, ``unapplied``: in the order in which they are applied. ``unknown``: not in this code."""

    loader: MigrationLoader
    applied: list[Migration] = field(default_factory=list)
    unapplied: list[Migration] = field(default_factory=list)
    unknown: list[MigrationKey] = field(default_factory=list)
    undeclared: dict[str, list[str]] = field(default_factory=dict)

    @property
    def conflicts(self) -> dict[str, list[str]]:
        """Apps with more than one last migration."""
        return {app: sorted(names) for app, names in self.loader.detect_conflicts().items()}


def read_migration_status() -> MigrationStatus:
    loader = MigrationLoader(connection)
    found = MigrationStatus(loader, unknown=_find_unknown(loader))
    for key in _ordered_keys(loader):
        have = found.applied if key in loader.applied_migrations else found.unapplied
        have.append(loader.graph.nodes[key])
    if not found.conflicts:
        found.undeclared = _detect_model_changes(loader)
    return found


def count_unapplied(database: BaseDatabaseWrapper) -> int:
    """How many migrations of this code are not recorded there."""
    executor = MigrationExecutor(database)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def missing_tables(database: BaseDatabaseWrapper) -> list[str]:
    """The tables of this code's models that are not there, asked in one statement."""
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
    """Applied migrations of these apps that this code has not, nor a squashed one in their place."""
    known = set(loader.disk_migrations) | {
        replaced for migration in loader.disk_migrations.values() for replaced in migration.replaces
    }
    ours = {config.label for config in apps.get_app_configs()}
    return sorted(key for key in loader.applied_migrations if key not in known and key[0] in ours)


def _detect_model_changes(loader: MigrationLoader) -> dict[str, list[str]]:
    """What makemigrations would write, by app."""
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
    changes = detector.changes(graph=loader.graph)
    return {
        app: [operation.describe() for migration in migrations for operation in migration.operations]
        for app, migrations in changes.items()
    }
