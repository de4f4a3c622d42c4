"""Whoever writes by which name, and however often steps are taken back: no write is lost."""

from typing import Any

import pytest
from django.db import models
from django.db.migrations import AlterField
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.column_changes.retire_operations import RetireColumn
from ops.sql.dual_write import DualWrite
from tests.ops.changing import MigratedTable, migrated_table
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

DUAL_WRITE = DualWrite("trial", "shop_item", "value", "value_v2", "({old})::integer", "({new})::text")
EXPANDED, FILLED, CONSTRAINED, RETIRED = range(1, 5)
# A number is a row, which is inserted if it is not there; `old` writes the old column's name.
WRITES = st.tuples(st.sampled_from(["old", "new"]), st.integers(0, 3), st.sampled_from("123"))
MOVES = st.sampled_from(["forward", "forward", "back"])


class Trial:
    """A table in the middle of a change: ``written`` is what was written last, by row."""

    def __init__(self, table: MigratedTable, swap: bool) -> None:
        self.table, self.swap, self.step = table, swap, 0
        self.written: dict[int, str] = {}
        self.retire = RetireColumn("item", "value", "value_v2", DUAL_WRITE, "value__retired", swap)

    @property
    def columns(self) -> tuple[str, str]:
        """The names of the old and of the new column."""
        if self.step < RETIRED:
            return "value", "value_v2"
        return "value__retired", "value" if self.swap else "value_v2"

    def forward(self) -> None:
        if self.step == 0:
            self.table.expand("value_v2", models.IntegerField(null=True), DUAL_WRITE)
        elif self.step == EXPANDED:
            execute_sql("UPDATE shop_item SET value_v2 = value::integer WHERE value_v2 IS NULL")
        elif self.step == FILLED:
            self.table.apply(AlterField("item", "value_v2", models.IntegerField()))
        elif self.step == CONSTRAINED:
            self.table.apply(self.retire)
        self.step = min(self.step + 1, RETIRED)

    def back(self) -> None:
        if self.step == FILLED:  # as a revert of the backfill does
            execute_sql("UPDATE shop_item SET value_v2 = NULL")
        elif self.step:
            self.table.unapply()
        self.step = max(self.step - 1, 0)

    def write(self, by: str, row: int, value: str) -> None:
        """Write by the name that old code or new code uses, if there is one at this step."""
        has_old, has_new = self.swap or self.step < RETIRED, self.step >= EXPANDED
        if not (has_old if by == "old" else has_new):
            return
        column = "value" if by == "old" else self.columns[1]
        statement = f"UPDATE shop_item SET {column} = '{value}' WHERE id = {row}"
        if row not in self.written:
            statement = f"INSERT INTO shop_item (id, {column}) VALUES ({row}, '{value}')"
        execute_sql(statement)
        self.written[row] = value

    def check(self) -> None:
        old, new = self.columns
        rows: list[tuple[Any, ...]] = execute_sql(
            f"SELECT id, {old}, {new if self.step else 'NULL::int'} FROM shop_item"
        )
        assert {row: value for row, value, _ in rows} == self.written
        if self.step >= FILLED:
            assert {row: str(value) for row, _, value in rows} == self.written
        else:
            assert all(value is None or str(value) == self.written[row] for row, _, value in rows)


@pytest.mark.parametrize("swap", [False, True])
@settings(deadline=None)
@given(start=st.integers(0, RETIRED), actions=st.lists(st.one_of(MOVES, WRITES), min_size=4, max_size=30))
def test_no_write_is_lost_over_steps_and_ways_back(swap: bool, start: int, actions: list[Any]) -> None:
    with migrated_table(value=models.TextField()) as table:
        table.create()
        trial = Trial(table, swap)
        for action in [("old", 9, "9"), *["forward"] * start, *actions]:
            if isinstance(action, tuple):
                trial.write(*action)
            else:
                getattr(trial, action)()
            trial.check()
