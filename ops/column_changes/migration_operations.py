"""The migration operations of column changes: gates, dual writes, and the retirement of the old column.

A migration stores them with all that they need, so that it does not depend on the declaration, which is
deleted one day.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.migrations.operations.base import Operation

from ops.column_changes import gates
from ops.column_changes.steps import Step
from ops.sql.dual_write import DualWrite
from ops.sql.dual_write_triggers import create_statements, drop_statements
from ops.sql.query import fetch_all
from ops.users import current_performer


class _StatelessOperation(Operation):
    """An operation that leaves Django's state as it is."""

    reversible = True

    def state_forwards(self, app_label: str, state: Any) -> None:
        pass


class Gate(_StatelessOperation):
    """Stop ``migrate`` before a step until it may be taken: see ops/column_changes/gates.py.

    Raises GateClosed. An empty table, as in a new database, needs no gate.
    """

    def __init__(self, change: str, step: str, model_name: str, wait: timedelta = timedelta()) -> None:
        self.change, self.step, self.model_name, self.wait = change, step, model_name, wait

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.collect_sql:
            return
        connection = schema_editor.connection
        table = connection.ops.quote_name(
            from_state.apps.get_model(app_label, self.model_name)._meta.db_table
        )
        if fetch_all(f"SELECT 1 FROM {table} LIMIT 1", using=connection):  # noqa: S608
            gates.require_open(self.change, Step(self.step), self.wait)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        pass

    def describe(self) -> str:
        return f"Wait until {self.change} may take the step {self.step}"


class RecordStep(_StatelessOperation):
    """Record that a step of a column change was taken, in the transaction of the migration."""

    def __init__(self, change: str, step: str) -> None:
        self.change, self.step = change, step

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._record(schema_editor, to_state, is_back=False)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._record(schema_editor, to_state, is_back=True)

    def _record(self, schema_editor: Any, state: Any, *, is_back: bool) -> None:
        if schema_editor.collect_sql:
            return
        events = state.apps.get_model("ops", "ColumnChangeEvent").objects.using(
            schema_editor.connection.alias
        )
        events.create(change=self.change, step=self.step, is_back=is_back, performed_by=current_performer())

    def describe(self) -> str:
        return f"Record the step {self.step} of {self.change}"


class AddDualWrite(_StatelessOperation):
    """Keep two columns equal from now on; the old column's default becomes the trigger's."""

    def __init__(self, dual_write: DualWrite) -> None:
        self.dual_write = dual_write

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self.dual_write.default is not None:
            self._alter_default(schema_editor, "DROP DEFAULT")
        for statement in create_statements(self.dual_write, _ops_schema(schema_editor)):
            schema_editor.execute(statement, None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for statement in drop_statements(self.dual_write):
            schema_editor.execute(statement, None)
        if self.dual_write.default is not None:
            self._alter_default(schema_editor, f"SET DEFAULT {self.dual_write.default}")

    def _alter_default(self, schema_editor: Any, action: str) -> None:
        table, column = map(schema_editor.quote_name, (self.dual_write.table, self.dual_write.old))
        schema_editor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} {action}", None)

    def describe(self) -> str:
        return f"Write {self.dual_write.old} and {self.dual_write.new} together ({self.dual_write.change})"


def _ops_schema(schema_editor: Any) -> str:
    [(schema,)] = fetch_all("SELECT current_schema()", using=schema_editor.connection)
    return str(schema)
