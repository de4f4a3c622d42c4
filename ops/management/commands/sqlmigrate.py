from __future__ import annotations

from typing import Any

from django.core.management.commands import sqlmigrate
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from ops.migrate.catalog import Catalog
from ops.migrate.migration_plan import plan_migration
from ops.migrate.migration_sql import iter_lines


class Command(sqlmigrate.Command):
    """Django's sqlmigrate, with the statements and the transactions as `migrate` runs them."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        text = super().handle(*args, **options)  # it also checks the arguments
        connection = connections[options["database"]]
        if connection.vendor != "postgresql":
            return text
        self.output_transaction = False
        loader = MigrationLoader(connection, replace_migrations=False)
        migration = loader.get_migration_by_prefix(options["app_label"], options["migration_name"])
        state = loader.project_state((migration.app_label, migration.name), at_end=False)
        plan = plan_migration(migration, state, Catalog(connection), options["backwards"])
        return "\n".join(line.text for line in iter_lines(plan))
