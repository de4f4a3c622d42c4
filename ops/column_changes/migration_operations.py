"""The migration operations of column changes: gates, dual writes, and the drop of the old column.

A migration stores them with all that they need, so that it does not depend on the declaration, which is
deleted one day.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation

from ops.column_changes import gates
from ops.column_changes.obstructions import (
    refuse_drop_reverse,
    require_agreement,
    require_no_dependents,
    require_values,
)
from ops.column_changes.retire_operations import ops_schema
from ops.column_changes.steps import Step
from ops.sql.column_followers import grant_statements
from ops.sql.dual_write import DualWrite
from ops.sql.dual_write_triggers import create_statements
from ops.sql.query import fetch_all
from ops.sql.retired_column import alter_column_statement, drop_column_statements
from ops.sql.watched_column import WatchedColumn
from ops.sql.watched_column_triggers import drop_statements
from ops.users import current_performer


class StatelessOperation(Operation):
    """An operation that leaves Django's state as it is."""

    reversible = True

    def state_forwards(self, app_label: str, state: Any) -> None:
        pass


class Gate(StatelessOperation):
    """Stop ``migrate`` before a step until it may be taken: see ops/column_changes/gates.py.

    Raises GateClosed. An empty table, as in a new database, needs no gate. ``after`` is the step that comes
    before, if it is not the one before it in ``Step``.
    """

    def __init__(
        self,
        change: str,
        step: str,
        model_name: str,
        wait: timedelta = timedelta(),
        swap: bool = False,
        after: str | None = None,
    ) -> None:
        self.change, self.step, self.model_name = change, step, model_name
        self.wait, self.swap, self.after = wait, swap, after

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.collect_sql:
            return
        table = schema_editor.quote_name(from_state.apps.get_model(app_label, self.model_name)._meta.db_table)
        if fetch_all(f"SELECT 1 FROM {table} LIMIT 1", using=schema_editor.connection):  # noqa: S608
            after = Step(self.after) if self.after else None
            gates.require_open(self.change, Step(self.step), self.wait, swap=self.swap, after=after)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        pass

    def describe(self) -> str:
        return f"Wait until {self.change} may take the step {self.step}"


class CompareColumns(StatelessOperation):
    """Stop ``migrate`` while the two columns differ in some row: one of the values will go.

    Raises GateClosed. The rows that were compared once are not compared again where the migration has to wait
    for a lock and is tried again: the triggers keep them equal.
    """

    was_equal = False

    def __init__(self, dual_write: DualWrite) -> None:
        self.dual_write = dual_write

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not (schema_editor.collect_sql or self.was_equal):
            require_agreement(schema_editor, self.dual_write)
            self.was_equal = True

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        pass

    def describe(self) -> str:
        return f"Compare {self.dual_write.old} with {self.dual_write.new} ({self.dual_write.change})"


class RecordStep(StatelessOperation):
    """Record that a step of a column change was taken, in the transaction of the migration.

    ``reason`` is why the step did not wait.
    """

    def __init__(self, change: str, step: str, reason: str = "") -> None:
        self.change, self.step, self.reason = change, step, reason

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
        reason = "" if is_back else self.reason
        events.create(
            change=self.change,
            step=self.step,
            is_back=is_back,
            performed_by=current_performer(),
            reason=reason,
        )

    def describe(self) -> str:
        return f"Record the step {self.step} of {self.change}"


def find_recording(migrations: Iterable[Migration], change: str) -> dict[Step, Migration]:
    """Return the migration that takes each step of the change, in the order of the steps."""
    found = {
        Step(operation.step): migration
        for migration in migrations
        for operation in migration.operations
        if isinstance(operation, RecordStep) and operation.change == change
    }
    return {step: found[step] for step in Step if step in found}


class WatchColumn(StatelessOperation):
    """Record who writes the old column from now on, and let INSERTs leave it out.

    The triggers fill in its default. Where it has none it may be NULL: code that does not know the column any
    more writes rows before it is retired.
    """

    def __init__(self, column: WatchedColumn) -> None:
        self.column = column

    @property
    def _needs_null(self) -> bool:
        return self.column.default is None and not self.column.nullable

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self.column.fills_default and self.column.has_own_default:
            self._alter(schema_editor, "DROP DEFAULT")
        if self._needs_null:
            self._alter(schema_editor, "DROP NOT NULL")
        for statement in create_statements(self.column, ops_schema(schema_editor)):
            schema_editor.execute(statement, None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self._needs_null and not schema_editor.collect_sql:
            require_values(schema_editor, self.column, "added without it")
        for statement in drop_statements(self.column):
            schema_editor.execute(statement, None)
        if self.column.fills_default and self.column.has_own_default:
            self._alter(schema_editor, f"SET DEFAULT {self.column.default}")
        if self._needs_null:
            self._alter(schema_editor, "SET NOT NULL")

    def _alter(self, schema_editor: Any, action: str) -> None:
        schema_editor.execute(alter_column_statement(self.column.table, self.column.old, action), None)

    def describe(self) -> str:
        return f"Record who writes {self.column.old} ({self.column.change})"


class AddDualWrite(WatchColumn):
    """Keep two columns equal from now on; the triggers fill in the old column's default."""

    _needs_null = False  # the triggers fill it from the new column

    def __init__(self, dual_write: DualWrite) -> None:
        self.column = self.dual_write = dual_write

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        grants = (self.dual_write.table, self.dual_write.old, self.dual_write.new)
        for statement in grant_statements(schema_editor, *grants):
            schema_editor.execute(statement, None)
        super().database_forwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        return f"Write {self.dual_write.old} and {self.dual_write.new} together ({self.dual_write.change})"


class DropColumn(StatelessOperation):
    """Drop a retired column and its triggers."""

    def __init__(self, column: WatchedColumn) -> None:
        self.column = column

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql:
            require_no_dependents(schema_editor, self.column)
        for statement in drop_column_statements(schema_editor, self.column):
            schema_editor.execute(statement, None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql:
            refuse_drop_reverse(self.column)
        schema_editor.collected_sql.append("-- A column that was dropped comes back by restoring a backup.")

    def describe(self) -> str:
        return f"Drop {self.column.old} ({self.column.change})"
