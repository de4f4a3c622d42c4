"""The migration operations of column changes: gates, dual writes, and the retirement of the old column.

A migration stores them with all that they need, so that it does not depend on the declaration, which is
deleted one day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation

from ops.column_changes import gates
from ops.column_changes.meta_references import rename_references, with_name
from ops.column_changes.obstructions import refuse_drop_reverse, require_no_dependents, require_values
from ops.column_changes.retire_operation import RetireOperation, ops_schema
from ops.column_changes.steps import Step
from ops.sql.column_followers import grant_statements
from ops.sql.column_names import Renames
from ops.sql.dual_write import DualWrite
from ops.sql.dual_write_defaults import compile_default
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


class RetireWatchedColumn(RetireOperation):
    """Rename a column whose field left the model to ``retired``: see Note [What retire does]."""

    def __init__(self, model_name: str, old: str, column: WatchedColumn, retired: str) -> None:
        self.model_name, self.old, self.column, self.retired = model_name, old, column, retired

    def describe(self) -> str:
        return f"Rename {self.column.old} to {self.retired} ({self.column.change})"


class RetireColumn(RetireOperation):
    """Rename the old column to ``retired``, and with ``swap`` the new one to its name, in one transaction.

    ``old`` and ``new`` are names of fields; ``dual_write`` is that before the step. ``renames`` are
    constraints and indexes of the new field that get other names, such as those that the old one's had. See
    Note [What retire does].
    """

    def __init__(
        self,
        model_name: str,
        old: str,
        new: str,
        dual_write: DualWrite,
        retired: str,
        swap: bool = False,
        renames: Mapping[str, str] | None = None,
    ) -> None:
        self.model_name, self.old, self.new, self.dual_write = model_name, old, new, dual_write
        self.column, self.retired, self.swap, self.renames = dual_write, retired, swap, dict(renames or {})

    @property
    def retired_dual_write(self) -> DualWrite:
        """The dual write after the step."""
        new = self.dual_write.old if self.swap else self.dual_write.new
        return replace(self.dual_write, old=self.retired, new=new, retired=True)

    @property
    def retired_column(self) -> WatchedColumn:
        return self.retired_dual_write

    @property
    def columns(self) -> Renames:
        return [*super().columns, *([(self.dual_write.new, self.dual_write.old)] if self.swap else ())]

    def state_forwards(self, app_label: str, state: Any) -> None:
        super().state_forwards(app_label, state)
        if self.swap:
            key = app_label, self.model_name.lower()
            state.rename_field(*key, self.new, self.old)
            state.alter_field(*key, self.old, self._swapped_field(state.models[key].fields[self.old]), True)

    def follow(self, value: Any) -> Any:
        value = with_name(value, self.renames[value.name]) if value.name in self.renames else value
        return rename_references(value, self.new, self.old) if self.swap else value

    def _swapped_field(self, field: Any) -> Any:
        """Return the field with the old one's column, by db_column if that is not the default."""
        field = field.clone()
        field.db_column = None
        field.set_attributes_from_name(self.old)
        if field.column != self.dual_write.old:
            field.db_column = self.dual_write.old
        return field

    def require_movable(self, schema_editor: Any) -> None:
        if self.swap:
            require_no_dependents(schema_editor, self.column)
        else:
            super().require_movable(schema_editor)

    def finish(self, schema_editor: Any, before: Any, after: Any) -> list[str]:
        last = self._set_not_null(before, "DROP NOT NULL")
        if default := self._new_default(schema_editor, after):
            last.append(alter_column_statement(self.dual_write.table, self.retired_dual_write.new, default))
        return last

    def finish_back(self, schema_editor: Any, before: Any, after: Any) -> list[str]:
        last = self._set_not_null(before, "SET NOT NULL")
        if last and not schema_editor.collect_sql:
            whose = f"whose {self.retired_dual_write.new} has no old value"
            require_values(schema_editor, self.retired_column, whose)
        if self._new_default(schema_editor, after):
            last.append(alter_column_statement(self.dual_write.table, self.dual_write.new, "DROP DEFAULT"))
        return last

    def _new_default(self, schema_editor: Any, after: Any) -> str | None:
        """Return SET DEFAULT of the new column, which could have none while old code wrote the old one."""
        field = after._meta.get_field(self.old if self.swap else self.new)
        default = compile_default(schema_editor.connection, field)
        return default and f"SET DEFAULT {default}"

    def _set_not_null(self, before: Any, action: str) -> list[str]:
        """Return what lets the old column be empty where a new value has no old one and no default."""
        if not self.dual_write.keeps or self.dual_write.default is not None or before.fields[self.old].null:
            return []
        column = self.retired if action.startswith("DROP") else self.dual_write.old
        return [alter_column_statement(self.dual_write.table, column, action)]

    def describe(self) -> str:
        swapped = f", {self.dual_write.new} to {self.dual_write.old}" if self.swap else ""
        return f"Rename {self.dual_write.old} to {self.retired}{swapped} ({self.dual_write.change})"


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
