"""The migration operations by which a primary key gets a wider type: see Note [How a key moves]."""

from __future__ import annotations

from typing import Any

from ops.column_changes.key_obstructions import require_fitting_keys, require_prepared
from ops.column_changes.migration_operations import StatelessOperation
from ops.column_changes.obstructions import require_no_dependents
from ops.column_changes.retire_operations import RetireColumn
from ops.sql.dual_write import DualWrite
from ops.sql.foreign_keys import follow_statements
from ops.sql.key_move import (
    KeyMove,
    prepare_late_statements,
    prepare_statements,
    unprepare_statements,
    validate_statements,
)
from ops.sql.retired_column import RetireMove, alter_column_statement


class PrepareKey(StatelessOperation):
    """Give the new column what the primary key needs, and the old one what it needs on the way back."""

    def __init__(self, column: DualWrite) -> None:
        self.column = column

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for statement in prepare_statements(schema_editor.connection, self.column):
            schema_editor.execute(statement, None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for statement in unprepare_statements(schema_editor.connection, self.column):
            schema_editor.execute(statement, None)

    def describe(self) -> str:
        return f"Prepare {self.column.new} to be the primary key ({self.column.change})"


class PrepareKeyAgain(StatelessOperation):
    """Before the key moves, prepare foreign keys that came after the step constrain.

    On the way back, when the key has moved: check the foreign keys, and make again what the move used up.
    """

    def __init__(self, column: DualWrite) -> None:
        self.column = column

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for statement in prepare_late_statements(schema_editor.connection, self.column):
            schema_editor.execute(statement, None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        using = schema_editor.connection
        for statement in (*validate_statements(using, self.column), *prepare_statements(using, self.column)):
            schema_editor.execute(statement, None)

    def describe(self) -> str:
        return f"Prepare foreign keys that came later, and on the way back all of it ({self.column.change})"


class RequireFittingKeys(StatelessOperation):
    """On the way back, before the primary key moves: each key has to fit the old column.

    ``column`` is that after the step.
    """

    def __init__(self, column: DualWrite) -> None:
        self.column = column

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        pass

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql:
            require_fitting_keys(schema_editor, self.column)
        statement = alter_column_statement(self.column.table, self.column.old, "SET NOT NULL")
        schema_editor.execute(statement, None)

    def describe(self) -> str:
        return f"On the way back: require keys that fit {self.column.old} ({self.column.change})"


class FollowForeignKey(StatelessOperation):
    """Give the foreign key of the new column the options of the old one's, which Django does not know."""

    def __init__(self, column: DualWrite) -> None:
        self.column = column

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for statement in follow_statements(schema_editor.connection, self.column):
            schema_editor.execute(statement, None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        pass  # the foreign key goes with the step constrain

    def describe(self) -> str:
        return f"Give the foreign key of {self.column.new} what that of {self.column.old} has"


class RetireKey(RetireColumn):
    """Move the primary key to the new column, and rename the two, in one transaction.

    ``field`` is the primary key afterwards.
    """

    def __init__(
        self,
        model_name: str,
        old: str,
        new: str,
        dual_write: DualWrite,
        retired: str,
        field: Any,
        renames: dict[str, str] | None = None,
    ) -> None:
        super().__init__(model_name, old, new, dual_write, retired, True, renames, field)

    def move_fields(self, state: Any, key: tuple[str, str]) -> None:
        """Change the type of the primary key; a model is at no time without one."""
        options = state.models[key].options
        if together := options.get("unique_together"):
            options["unique_together"] = {
                tuple(self.old if name == self.new else name for name in names) for names in together
            }
        state.remove_field(*key, self.new)
        state.alter_field(*key, self.old, self.field.clone(), preserve_default=True)

    def require_movable(self, schema_editor: Any) -> None:
        require_no_dependents(schema_editor, self.column, is_key=True)
        require_prepared(schema_editor, self.dual_write)

    def finish_back(self, schema_editor: Any, before: Any, after: Any) -> list[str]:
        return []  # RequireFittingKeys comes before

    def _move(self, before: Any) -> RetireMove:
        move = super()._move(before)
        key = KeyMove(self.dual_write.table, self.dual_write.old, self.dual_write.new)
        return RetireMove(move.before, move.after, move.columns, move.names, move.kept, key)

    def describe(self) -> str:
        return f"Move the primary key to {self.dual_write.new}. {super().describe()}"
