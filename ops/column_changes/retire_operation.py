"""What the migration operations share that retire the old column of a change.

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

from ops.column_changes.meta_references import has_reference
from ops.column_changes.obstructions import require_free_name, require_not_published
from ops.sql.column_names import Renames, retired_name
from ops.sql.query import fetch_all
from ops.sql.retired_column import RetireMove
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
        options = state.models[key].options
        for kind in ("indexes", "constraints"):
            kept = [each for each in options.get(kind, ()) if not has_reference(each, self.old)]
            options[kind] = [self.follow(each) for each in kept]
        if together := options.get("unique_together"):
            options["unique_together"] = {tuple(names) for names in together if self.old not in names}
        state.remove_field(*key, self.old)

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


def ops_schema(schema_editor: Any) -> str:
    """Return the schema of ops' own tables."""
    [(schema,)] = fetch_all("SELECT current_schema()", using=schema_editor.connection)
    return str(schema)
