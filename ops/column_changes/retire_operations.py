"""The migration operations that retire the old column of a change.

# Note [What retire does]
The old column gets another name, so that code which still names it fails, and the triggers go on filling it:
taking the step back is one rename, and no write is lost. Its constraints and indexes stay with it until the
drop: they leave Django's state, and not the database. They get another name too, since one of a new field may
take theirs. See also Note [Names that follow a column] and Note [What follows a column].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db.migrations.operations.base import Operation, OperationCategory

from ops.column_changes.meta_references import has_reference, rename_references, with_name
from ops.column_changes.obstructions import (
    require_free_name,
    require_no_dependents,
    require_no_loss,
    require_not_published,
    require_values,
)
from ops.sql.column_names import Renames, retired_name
from ops.sql.dual_write import DualWrite
from ops.sql.dual_write_defaults import compile_default
from ops.sql.query import fetch_all
from ops.sql.retired_column import RetireMove, alter_column_statement
from ops.sql.watched_column import WatchedColumn


class RetireOperation(Operation):
    """Rename the old column to ``retired``, in one transaction; its field leaves Django's state.

    ``old`` is the name of the field, and ``column`` is what is watched before the step. ``renames`` are
    constraints and indexes of other fields that get other names.
    """

    category = OperationCategory.ALTERATION
    reversible = True
    model_name: str
    old: str
    column: WatchedColumn
    retired: str
    renames: Mapping[str, str] = {}

    @property
    def retired_column(self) -> WatchedColumn:
        """What is watched after the step."""
        return replace(self.column, old=self.retired)

    @property
    def columns(self) -> Renames:
        """The columns that are renamed, in order."""
        return [(self.column.old, self.retired)]

    def state_forwards(self, app_label: str, state: Any) -> None:
        key = app_label, self.model_name.lower()
        self._follow_options(state.models[key].options)
        self.move_fields(state, key)

    def move_fields(self, state: Any, key: tuple[str, str]) -> None:
        """Change the fields of the model in Django's state."""
        state.remove_field(*key, self.old)

    def _follow_options(self, options: dict[str, Any]) -> None:
        for kind in ("indexes", "constraints"):
            kept = [each for each in options.get(kind, ()) if not has_reference(each, self.old)]
            options[kind] = [self.follow(each) for each in kept]
        if together := options.get("unique_together"):
            options["unique_together"] = {tuple(names) for names in together if self.old not in names}

    def follow(self, value: Any) -> Any:
        """Return what a constraint or an index of other fields becomes by the step."""
        return value

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql:
            require_free_name(schema_editor, self.column.table, self.retired)
            self.require_movable(schema_editor)
        before = from_state.models[app_label, self.model_name.lower()]
        after = to_state.apps.get_model(app_label, self.model_name)
        self._execute(schema_editor, self._move(before), self.finish(schema_editor, before, after))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        before = to_state.models[app_label, self.model_name.lower()]
        after = from_state.apps.get_model(app_label, self.model_name)
        last = self.finish_back(schema_editor, before, after)
        self._execute(schema_editor, self._move(before).reversed(), last)

    def require_movable(self, schema_editor: Any) -> None:
        """Raise ColumnInUse if something keeps the names from changing."""
        require_not_published(schema_editor, self.column)

    def finish(self, schema_editor: Any, before: Any, after: Any) -> list[str]:
        """Return the last statements; ``before`` is the state of the model, and ``after`` the later model."""
        return []

    def finish_back(self, schema_editor: Any, before: Any, after: Any) -> list[str]:
        """Return the last statements of the way back."""
        return []

    def _move(self, before: Any) -> RetireMove:
        declared = [each for kind in ("indexes", "constraints") for each in before.options.get(kind, ())]
        names = [(each.name, retired_name(each.name)) for each in declared if has_reference(each, self.old)]
        names += self.renames.items()
        kept = {each.name for each in declared} - dict(names).keys()
        return RetireMove(self.column, self.retired_column, self.columns, names, frozenset(kept))

    def _execute(self, schema_editor: Any, move: RetireMove, last: list[str]) -> None:
        for statement in move.statements(schema_editor, ops_schema(schema_editor), last):
            schema_editor.execute(statement, None)


class RetireWatchedColumn(RetireOperation):
    """Rename a column whose field left the model to ``retired``: see Note [What retire does]."""

    def __init__(self, model_name: str, old: str, column: WatchedColumn, retired: str) -> None:
        self.model_name, self.old, self.column, self.retired = model_name, old, column, retired

    def describe(self) -> str:
        return f"Rename {self.column.old} to {self.retired} ({self.column.change})"


class RetireColumn(RetireOperation):
    """Rename the old column to ``retired``, and with ``swap`` the new one to its name, in one transaction.

    ``old`` and ``new`` are names of fields; ``dual_write`` is that before the step. ``renames`` are
    constraints and indexes of the new field that get other names, such as those that the old one's had.
    ``field`` is the new one after a swap, where more of it changes than its name. See Note [What retire
    does].
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
        field: Any = None,
    ) -> None:
        self.model_name, self.old, self.new, self.dual_write = model_name, old, new, dual_write
        self.column, self.retired, self.swap, self.renames = dual_write, retired, swap, dict(renames or {})
        self.field = field

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

    def move_fields(self, state: Any, key: tuple[str, str]) -> None:
        super().move_fields(state, key)
        if self.swap:
            state.rename_field(*key, self.new, self.old)
            state.alter_field(*key, self.old, self._swapped_field(state.models[key].fields[self.old]), True)

    def follow(self, value: Any) -> Any:
        value = with_name(value, self.renames[value.name]) if value.name in self.renames else value
        return rename_references(value, self.new, self.old) if self.swap else value

    def _swapped_field(self, field: Any) -> Any:
        """Return the field with the old one's column, by db_column if that is not the default."""
        if self.field:
            return self.field.clone()
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
        if self.dual_write.empties and not schema_editor.collect_sql:
            require_no_loss(schema_editor, self.retired_dual_write)
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


def ops_schema(schema_editor: Any) -> str:
    """Return the schema of ops' own tables."""
    [(schema,)] = fetch_all("SELECT current_schema()", using=schema_editor.connection)
    return str(schema)
