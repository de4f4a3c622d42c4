"""A table whose column changes, three generations of code that write it, and what its rows must become."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connections, models
from django.db.migrations import AddField, AlterField, SeparateDatabaseAndState
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import NOT_PROVIDED, Value

from ops.column_changes import ColumnChange
from ops.column_changes.migration_operations import AddDualWrite, DropColumn, Gate, RecordStep
from ops.column_changes.planning.model_changes import nullable_field
from ops.column_changes.planning.plan import compile_change
from ops.column_changes.retire_operations import RetireColumn
from ops.column_changes.steps import Step
from ops.models import ColumnChangeEvent, Run
from tests.ops.changing import APP, MigratedTable
from tests.ops.dual_writing import LEFT_OUT, Change, Refused, same
from tests.ops.running import execute_sql

OLD, NEW, RETIRED = "value", "value_v2", "value__retired"
Values = Mapping[str, Any]


class Row(NamedTuple):
    """A column that is not there is None."""

    note: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Swap:
    """What a swap adds to a change: what the new column makes of a value that old code writes."""

    store: Callable[[Any], Any] = same


class _SmallTable(MigratedTable):
    """A table whose migrations know few other models, so that their state takes little time to render."""

    def initial_state(self) -> ProjectState:
        state = ProjectState()
        for model in (Run, ColumnChangeEvent):
            state.add_model(ModelState.from_model(model))
        return state


class WrittenTable:
    """The table, its change, and the steps that were taken."""

    def __init__(self, change: Change, swap: Swap | None = None) -> None:
        self.change, self.swap, self.steps = change, swap, list[Step]()
        old, final = change.old.clone(), change.new.clone()
        final.null = old.null
        if change.default is not None:
            old.db_default, final.db_default = Value(change.default), Value(change.to_new(change.default))
        self.table = _SmallTable(note=models.TextField(db_default=""), value=old)
        self.table.create()
        execute_sql("ALTER TABLE shop_item SET (autovacuum_enabled = off)")  # it would hold locks
        self.final = final
        state = self.table.state.clone()
        AddField("item", NEW, final).state_forwards(APP, state)
        self.models = {"old": self.table.model, "both": state.apps.get_model(APP, "Item")}
        members = {"name": "shop_value", "model": self.models["both"], "old": OLD, "new": NEW}
        members |= {"swap": swap is not None, **change.declared}
        self.declared: type[ColumnChange] = type("ValueV2", (ColumnChange,), members)
        self.dual_write = compile_change(self.declared)
        self.retire = RetireColumn("item", OLD, NEW, self.dual_write, RETIRED, swap=swap is not None)
        state = state.clone()
        self.retire.state_forwards(APP, state)
        self.models["new"] = state.apps.get_model(APP, "Item")

    @property
    def step(self) -> Step | None:
        return self.steps[-1] if self.steps else None

    @property
    def is_retired(self) -> bool:
        return self.step in (Step.RETIRE, Step.DROP)

    @property
    def is_constrained(self) -> bool:
        return Step.CONSTRAIN in self.steps and not self.final.null

    @property
    def roles(self) -> dict[str, str]:
        """The name that each of the two columns has now, by its first name."""
        if not self.is_retired:
            return {OLD: OLD, **({NEW: NEW} if self.steps else {})}
        new = {NEW: OLD if self.swap else NEW}
        return new if self.step == Step.DROP else {OLD: RETIRED, **new}

    def read(self, alias: str = "default") -> dict[int, Row]:
        roles = self.roles
        columns = ", ".join(roles.get(role, "NULL") for role in (OLD, NEW))
        with connections[alias].cursor() as cursor:
            cursor.execute(f"SELECT id, note, {columns} FROM shop_item ORDER BY id")
            fields = (self.change.old, self.change.new)
            return {
                key: Row(note, *map(self._convert, fields, values))
                for key, note, *values in cursor.fetchall()
            }

    @staticmethod
    def _convert(field: Any, value: Any) -> Any:
        for convert in field.get_db_converters(connections["default"]):
            value = convert(value, None, connections["default"])
        return value

    def migrate(self, step: Step) -> None:
        """Take a step that a migration takes."""
        name, plain = self.declared.name, self.final.clone()
        plain.db_default = NOT_PROVIDED
        in_state = SeparateDatabaseAndState(state_operations=[AlterField("item", NEW, self.final)])
        nullable = nullable_field(self.final)
        operations: dict[Step, list[Any]] = {
            Step.EXPAND: [AddField("item", NEW, nullable), AddDualWrite(self.dual_write)],
            Step.CONSTRAIN: [Gate(name, step.value, "item"), AlterField("item", NEW, plain), in_state],
            Step.RETIRE: [Gate(name, step.value, "item", swap=self.swap is not None), self.retire],
            Step.DROP: [DropColumn(self.retire.retired_dual_write)],
        }
        self.table.apply(*operations[step], RecordStep(name, step.value))
        self.steps.append(step)

    def agrees(self, row: Row) -> bool:
        """Whether the columns of the row agree, or the new value has no old one, and that was declared."""
        if row.new is not None and self.change.keeps and self.change.to_old(row.new) is None:
            return True
        return self.change.agree((row.old, row.new))

    def after_insert(self, given: Values) -> Row:
        """Return the row that an INSERT makes. Raises Refused."""
        note, values = self._by_role(given)
        old, new = (values.get(role, LEFT_OUT) for role in (OLD, NEW))
        if not self.steps:
            return Row(note or "", self._refuse_null(self._default_of(old), self.change.old.null), None)
        if self.is_retired and new is LEFT_OUT:
            new = self._default_of(new, self.change.to_new)
        if self.step == Step.DROP:
            return Row(note or "", None, self._refuse_null(new, not self.is_constrained))
        pair = self._unless_empty(lambda: self.change.after_insert(old, new), new)
        return Row(note or "", pair[0], self._refuse_null(pair[1], not self.is_constrained))

    def after_update(self, row: Row, given: Values) -> Row:
        """Return the row that an UPDATE leaves. Raises Refused."""
        note, values = self._by_role(given)
        note = row.note if note is None else note
        if not self.steps:
            return Row(note, self._refuse_null(values.get(OLD, row.old), self.change.old.null), None)
        new = values.get(NEW, row.new)
        if self.step == Step.DROP:
            return Row(note, None, self._refuse_null(new, not self.is_constrained))
        pair = self._unless_empty(lambda: self.change.after_update((row.old, row.new), **values), new, row)
        if self._removes(row, values):
            pair = (None, None)
        return Row(note, pair[0], self._refuse_null(pair[1], not self.is_constrained))

    def after_conflict(self, row: Row, given: Values, updated: tuple[str, ...]) -> Row:
        """Return what ``INSERT ... ON CONFLICT DO UPDATE`` leaves of the row. Raises Refused."""
        proposed = self.after_insert(given)
        values = {OLD: proposed.old, NEW: proposed.new}
        names = {name: role for role, name in self.roles.items()}
        chosen = {name: values[names[name]] for name in updated if name in names}
        return self.after_update(row, {**chosen, **({"note": proposed.note} if "note" in updated else {})})

    def _by_role(self, given: Values) -> tuple[Any, dict[str, Any]]:
        """Return the note, and the values by the columns' first names. Raises Refused."""
        names = {name: role for role, name in self.roles.items()}
        note = given.get("note")
        values = {}
        for name, value in given.items():
            if name == "note":
                continue
            if name not in names:
                raise Refused(f"there is no column {name}")
            store = self.swap.store if self.swap and self.is_retired and name == OLD else same
            values[names[name]] = value if value in (None, LEFT_OUT) else store(value)
        return note, values

    def _removes(self, row: Row, values: Values) -> bool:
        """Whether an UPDATE removes a value from both columns: until retire a backfill may be reverted."""
        is_gone = row.new is not None and values.get(NEW, row.new) is None
        is_alone = values.get(OLD, row.old) == row.old and not self.change.agree((row.old, None))
        may_go = self.is_retired and self.change.old.null and self.dual_write.to_old is not None
        return bool(is_gone and is_alone and may_go)

    def _default_of(self, value: Any, convert: Callable[[Any], Any] = same) -> Any:
        if value is not LEFT_OUT:
            return value
        return None if self.change.default is None else convert(self.change.default)

    def _unless_empty(
        self, predict: Callable[[], tuple[Any, Any]], new: Any, row: Row | None = None
    ) -> tuple[Any, Any]:
        """Predict the pair. The retired column may be empty where it keeps values and has no default."""
        try:
            return predict()
        except Refused:
            if not (self.is_retired and self.change.keeps and self.change.default is None):
                raise
            return (row.old if row else None), new

    @staticmethod
    def _refuse_null(value: Any, may_be_null: bool) -> Any:
        if value is None and not may_be_null:
            raise Refused("it may not be NULL")
        return None if value is LEFT_OUT else value
