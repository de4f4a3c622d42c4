"""A table that goes through migrations, and back, in the test's process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connection, models
from django.db.migrations import AddField, CreateModel, Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from ops.column_changes.migration_operations import AddDualWrite, RecordStep
from ops.models import ColumnChangeEvent, ColumnWriter
from ops.sql.dual_write import DualWrite
from tests.ops.running import execute_sql

APP = "shop"


class MigratedTable:
    """The model ``shop.Item`` and its table; ``apply`` and ``unapply`` are one transaction each."""

    def __init__(self, **fields: Any) -> None:
        self.states = [self.initial_state()]
        self.migrations: list[Migration] = []
        self.options = {"db_table": "shop_item"}
        self.fields = [("id", models.BigAutoField(primary_key=True)), *fields.items()]

    def initial_state(self) -> ProjectState:
        return ProjectState.from_apps(apps)

    def create(self, **options: Any) -> None:
        self.apply(CreateModel("Item", self.fields, options={**self.options, **options}))

    @property
    def state(self) -> ProjectState:
        return self.states[-1]

    @property
    def model(self) -> Any:
        return self.state.apps.get_model(APP, "Item")

    def apply(self, *operations: Operation) -> None:
        migration = Migration(f"{len(self.migrations) + 1:04}", APP)
        migration.operations = list(operations)
        state = self.state.clone()
        with connection.schema_editor(atomic=True) as editor:
            state = migration.apply(state, editor)
        self.states.append(state)
        self.migrations.append(migration)

    def unapply(self) -> None:
        with connection.schema_editor(atomic=True) as editor:
            self.migrations[-1].unapply(self.states[-2].clone(), editor)
        self.states.pop()
        self.migrations.pop()

    def expand(self, new: str, field: Any, dual_write: DualWrite) -> None:
        self.apply(
            AddField("item", new, field), AddDualWrite(dual_write), RecordStep(dual_write.change, "expand")
        )


@contextmanager
def migrated_table(**fields: Any) -> Iterator[MigratedTable]:
    table = MigratedTable(**fields)
    try:
        yield table
    finally:
        execute_sql(f"DROP TABLE IF EXISTS {connection.ops.quote_name(table.options['db_table'])} CASCADE")
        ColumnChangeEvent.objects.all().delete()
        ColumnWriter.objects.all().delete()
