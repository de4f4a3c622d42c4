"""The migration operations of column changes: gates, dual writes, and the retirement of the old column.

A migration stores them with all that they need, so that it does not depend on the declaration, which is
deleted one day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db.migrations.operations.base import Operation, OperationCategory

from ops.column_changes import gates
from ops.column_changes.meta_references import has_reference, rename_references, with_name
from ops.column_changes.obstructions import (
    refuse_drop_reverse,
    require_free_name,
    require_no_dependents,
    require_not_published,
    require_old_values,
)
from ops.column_changes.steps import Step
from ops.sql.column_followers import grant_statements
from ops.sql.column_names import retired_name
from ops.sql.dual_write import DualWrite
from ops.sql.dual_write_defaults import compile_default
from ops.sql.dual_write_triggers import create_statements, drop_statements
from ops.sql.query import fetch_all
from ops.sql.retired_column import RetireMove, alter_column_statement, drop_column_statements
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

    def __init__(
        self, change: str, step: str, model_name: str, wait: timedelta = timedelta(), swap: bool = False
    ) -> None:
        self.change, self.step, self.model_name, self.wait, self.swap = change, step, model_name, wait, swap

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.collect_sql:
            return
        table = schema_editor.quote_name(from_state.apps.get_model(app_label, self.model_name)._meta.db_table)
        if fetch_all(f"SELECT 1 FROM {table} LIMIT 1", using=schema_editor.connection):  # noqa: S608
            gates.require_open(self.change, Step(self.step), self.wait, swap=self.swap)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        pass

    def describe(self) -> str:
        return f"Wait until {self.change} may take the step {self.step}"


class RecordStep(_StatelessOperation):
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


class AddDualWrite(_StatelessOperation):
    """Keep two columns equal from now on; the triggers fill in the old column's default."""

    def __init__(self, dual_write: DualWrite) -> None:
        self.dual_write = dual_write

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self.dual_write.fills_default and self.dual_write.has_own_default:
            self._alter_default(schema_editor, "DROP DEFAULT")
        grants = grant_statements(
            schema_editor, self.dual_write.table, self.dual_write.old, self.dual_write.new
        )
        for statement in (*grants, *create_statements(self.dual_write, _ops_schema(schema_editor))):
            schema_editor.execute(statement, None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for statement in drop_statements(self.dual_write):
            schema_editor.execute(statement, None)
        if self.dual_write.fills_default and self.dual_write.has_own_default:
            self._alter_default(schema_editor, f"SET DEFAULT {self.dual_write.default}")

    def _alter_default(self, schema_editor: Any, action: str) -> None:
        table, column = map(schema_editor.quote_name, (self.dual_write.table, self.dual_write.old))
        schema_editor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} {action}", None)

    def describe(self) -> str:
        return f"Write {self.dual_write.old} and {self.dual_write.new} together ({self.dual_write.change})"


# Note [What retire does]
# The old column gets another name, so that code which still names it fails, and the triggers go on filling
# it: taking the step back is one rename, and no write is lost. Its constraints and indexes stay with it until
# the drop: they leave Django's state, and not the database. They get another name too, since one of the new
# field may take theirs. See also Note [Names that follow a column] and Note [What follows a column].


class RetireColumn(Operation):
    """Rename the old column to ``retired``, and with ``swap`` the new one to its name, in one transaction.

    ``old`` and ``new`` are names of fields; ``dual_write`` is that before the step. ``renames`` are
    constraints and indexes of the new field that get other names, such as those that the old one's had. See
    Note [What retire does].
    """

    category = OperationCategory.ALTERATION
    reversible = True

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
        self.retired, self.swap, self.renames = retired, swap, dict(renames or {})

    @property
    def retired_dual_write(self) -> DualWrite:
        """The dual write after the step."""
        new = self.dual_write.old if self.swap else self.dual_write.new
        return replace(self.dual_write, old=self.retired, new=new)

    def state_forwards(self, app_label: str, state: Any) -> None:
        key = app_label, self.model_name.lower()
        options = state.models[key].options
        for kind in ("indexes", "constraints"):
            kept = [each for each in options.get(kind, ()) if not has_reference(each, self.old)]
            options[kind] = [self._follow(each) for each in kept]
        if together := options.get("unique_together"):
            options["unique_together"] = {tuple(names) for names in together if self.old not in names}
        state.remove_field(*key, self.old)
        if self.swap:
            state.rename_field(*key, self.new, self.old)
            state.alter_field(*key, self.old, self._swapped_field(state.models[key].fields[self.old]), True)

    def _follow(self, value: Any) -> Any:
        """Return what a constraint or an index becomes by the step."""
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

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        before = from_state.models[app_label, self.model_name.lower()]
        if not schema_editor.collect_sql:
            require_free_name(schema_editor, self.dual_write.table, self.retired)
            (require_no_dependents if self.swap else require_not_published)(schema_editor, self.dual_write)
        last = self._set_not_null(before, "DROP NOT NULL")
        if default := self._new_default(app_label, schema_editor, to_state):
            last.append(self._alter(self.retired_dual_write.new, f"SET DEFAULT {default}"))
        self._execute(schema_editor, self._move(before), last)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        before = to_state.models[app_label, self.model_name.lower()]
        last = self._set_not_null(before, "SET NOT NULL")
        if last and not schema_editor.collect_sql:
            require_old_values(schema_editor, self.retired_dual_write)
        if self._new_default(app_label, schema_editor, from_state):
            last.append(self._alter(self.dual_write.new, "DROP DEFAULT"))
        self._execute(schema_editor, self._move(before).reversed(), last)

    def _new_default(self, app_label: str, schema_editor: Any, after: Any) -> str | None:
        """Return the default of the new column, which it could not have while old code wrote the old one."""
        model = after.apps.get_model(app_label, self.model_name)
        field = model._meta.get_field(self.old if self.swap else self.new)
        return compile_default(schema_editor.connection, field)

    def _move(self, before: Any) -> RetireMove:
        declared = [each for kind in ("indexes", "constraints") for each in before.options.get(kind, ())]
        names = [(each.name, retired_name(each.name)) for each in declared if has_reference(each, self.old)]
        names += self.renames.items()
        columns = [(self.dual_write.old, self.retired)]
        if self.swap:
            columns.append((self.dual_write.new, self.dual_write.old))
        kept = {each.name for each in declared} - dict(names).keys()
        return RetireMove(self.dual_write, self.retired_dual_write, columns, names, frozenset(kept))

    def _set_not_null(self, before: Any, action: str) -> list[str]:
        """Return what lets the old column be empty where a new value has no old one and no default."""
        if not self.dual_write.keeps or self.dual_write.default is not None or before.fields[self.old].null:
            return []
        return [self._alter(self.retired if action.startswith("DROP") else self.dual_write.old, action)]

    def _alter(self, column: str, action: str) -> str:
        return alter_column_statement(self.dual_write.table, column, action)

    def _execute(self, schema_editor: Any, move: RetireMove, last: list[str]) -> None:
        for statement in move.statements(schema_editor, _ops_schema(schema_editor), last):
            schema_editor.execute(statement, None)

    def describe(self) -> str:
        swapped = f", {self.dual_write.new} to {self.dual_write.old}" if self.swap else ""
        return f"Rename {self.dual_write.old} to {self.retired}{swapped} ({self.dual_write.change})"


class DropColumn(_StatelessOperation):
    """Drop a retired column and its triggers, as ``dual_write`` has them."""

    def __init__(self, dual_write: DualWrite) -> None:
        self.dual_write = dual_write

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql:
            require_no_dependents(schema_editor, self.dual_write)
        for statement in drop_column_statements(schema_editor, self.dual_write):
            schema_editor.execute(statement, None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql:
            refuse_drop_reverse(self.dual_write)
        schema_editor.collected_sql.append("-- A column that was dropped comes back by restoring a backup.")

    def describe(self) -> str:
        return f"Drop {self.dual_write.old} ({self.dual_write.change})"


def _ops_schema(schema_editor: Any) -> str:
    [(schema,)] = fetch_all("SELECT current_schema()", using=schema_editor.connection)
    return str(schema)
