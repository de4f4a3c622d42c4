"""A table with a dual write, and what the two columns must be after each write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import models
from django.db.migrations import AddField

from ops.column_changes.declaration import ColumnChange
from ops.sql.dual_write import DualWrite, compile_dual_write
from tests.ops.changing import APP, MigratedTable, migrated_table

LEFT_OUT = object()
Pair = tuple[Any, Any]


class Refused(Exception):
    """The database refuses the write."""


def same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Change:
    """A column change from ``value`` to ``value_v2``, and the conversions in Python.

    They return None for None, and where a value has no counterpart.
    """

    old: models.Field[Any, Any]
    new: models.Field[Any, Any]
    old_values: list[Any]
    new_values: list[Any]
    to_new: Callable[[Any], Any] = same
    to_old: Callable[[Any], Any] = same
    declared: Mapping[str, Any] = field(default_factory=dict)
    default: Any = None
    default_sql: str | None = None

    @property
    def keeps(self) -> bool:
        return self.declared.get("unmappable") == "keep"

    def agree(self, pair: Pair) -> bool:
        """Whether the new value is that of the old one, or the old value is that of the new one."""
        old, new = pair
        back = None if new is None else self.to_old(new)
        return new == self._converted(old) or (back is not None and old == back)

    def after_insert(self, old: Any, new: Any) -> Pair:
        """Return the expected pair; raises Refused."""
        has_default_in_table = self.default is not None and self.old.null
        if old is LEFT_OUT:
            old = self.default if has_default_in_table else None
        new = None if new is LEFT_OUT else new
        is_left_out = old is None or (has_default_in_table and old == self.default)
        if new is None:
            old = self._filled(old)
            new = self._converted(old)
        elif is_left_out and not (self.old.null and self.agree((old, new))):
            back = self.to_old(new)
            if back is None and not self.keeps:
                raise Refused
            old = self._filled(old) if back is None else back
        return self._stored((old, new))

    def after_update(self, before: Pair, **changes: Any) -> Pair:
        """Return the expected pair; raises Refused."""
        old, new = changes.get("value", before[0]), changes.get("value_v2", before[1])
        old = self._filled(old)
        if old != before[0]:
            if new == before[1] and not self.agree((old, new)):
                new = self._converted(old)
        elif new is not None and new != before[1] and not self.agree((old, new)):
            back = self.to_old(new)
            if back is None and not self.keeps:
                raise Refused
            old = old if back is None else back
        return self._stored((old, new))

    def _converted(self, old: Any) -> Any:
        return None if old is None else self.to_new(old)

    def _filled(self, old: Any) -> Any:
        return self.default if old is None and not self.old.null else old

    def _stored(self, pair: Pair) -> Pair:
        if pair[0] is None and not self.old.null:
            raise Refused
        return pair


def compile_trial(table: MigratedTable, change: Change) -> DualWrite:
    """Compile the dual write of the change for the model ``shop.Item``."""
    state = table.state.clone()
    AddField("item", "value_v2", change.new).state_forwards(APP, state)
    model = state.apps.get_model(APP, "Item")
    members = {"name": "trial", "model": model, "old": "value", "new": "value_v2", **change.declared}
    declared = type("Trial", (ColumnChange,), members)()
    dual_write = compile_dual_write(
        "trial",
        model,
        declared.old_field(),
        declared.new_field(),
        declared.new_value(),
        declared.old_value(),
        keeps=change.keeps,
    )
    return replace(dual_write, default=change.default_sql)


@contextmanager
def dual_written(change: Change, **fields: Any) -> Iterator[MigratedTable]:
    """The table ``shop_item`` with the dual write ``trial``, which is expanded."""
    old = change.old.clone()
    if change.default_sql is not None:
        old.db_default = models.Value(change.default)
    with migrated_table(value=old, **fields) as table:
        table.create()
        table.expand("value_v2", change.new, compile_trial(table, change))
        yield table
