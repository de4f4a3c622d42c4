"""Any interleaving of change sets, undos, other runs and reverts with players who write the same cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event
from typing import Any

import psycopg
import pytest
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from cards.models import Card, PresentationRule
from ops.change_sets.cells import Cell
from ops.change_sets.staging import NothingToChange, stage_cells
from ops.change_sets.undo import UndoRefused, stage_undo
from ops.engine import locks, loop
from ops.engine.loop import RunExecutor
from ops.models import AuditLog, Run
from ops.operations import ApplyChangeSet, Revert, registry
from ops.runs import lifecycle
from ops.runs.cell_conflicts import build_conflict_list, find_operation_by_cell
from ops.states import COMPLETED, State
from tests.ops.running import RecordingMonitor, create_run, execute_sql, player

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

COLUMNS = ("title", "rarity", "rarity_v2", "metadata")
VALUES = {
    "title": ['"a"', '"b"', '"c"'],
    "rarity": ['"common"', '"rare"'],
    "metadata": ["{}", '{"x": 1.1}', '{"x": 1.10}'],
}
ROWS, WHICH = st.integers(1, 3), st.integers(0, 9)
_EDITS = {name: st.tuples(ROWS, st.just(name), st.sampled_from(values)) for name, values in VALUES.items()}
# A row, a column and the value to write. Only players write the column that follows rarity.
EDITS = st.one_of(*_EDITS.values())
PLAYS = EDITS | st.tuples(ROWS, st.just("rarity_v2"), st.sampled_from(['"rare"', "null"]))
# Images of the cells as text, by key and column.
Table = dict[tuple[str, str], str]


def read_table() -> Table:
    images = ", ".join(f"to_jsonb({name})::text" for name in COLUMNS)
    rows = execute_sql(f"SELECT id::text, {images} FROM cards")
    return {
        (key, name): image or "null" for key, *row in rows for name, image in zip(COLUMNS, row, strict=True)
    }


class Interleaving(RuleBasedStateMachine):
    """Each step's new audit rows are the difference that it made; each cell is written, or a conflict."""

    other: psycopg.Connection[Any]
    user: Any

    @initialize()
    def begin(self) -> None:
        self.other.rollback()
        Card.objects.all().delete()
        for number in range(1, 4):
            Card.objects.create(pk=number, card_id=f"c{number}", title="a", pack_id="p")
        self.remembered = read_table()
        self.run: Run | None = None
        self.ended: list[int] = []

    # Edits of players, in a transaction that they end some time.

    @rule(edit=PLAYS)
    def play(self, edit: tuple[int, str, str]) -> None:
        row, column, value = edit
        cast = "%s::jsonb" if column == "metadata" else "%s::jsonb #>> '{}'"
        self._touch(row)
        self._execute(f"UPDATE cards SET {column} = {cast} WHERE id = %s", value, row)

    @rule(row=ROWS)
    def delete(self, row: int) -> None:
        self._touch(row)
        self._execute("DELETE FROM cards WHERE id = %s", row)

    @rule(row=ROWS)
    def hold(self, row: int) -> None:
        self._touch(row)
        self._execute("SELECT FROM cards WHERE id = %s FOR UPDATE", row)

    @rule(commit=st.booleans())
    def end_transaction(self, commit: bool) -> None:
        self.other.commit() if commit else self.other.rollback()

    # What staff does.

    @rule()
    def look(self) -> None:
        self.remembered = read_table()

    @rule(edits=st.lists(EDITS, min_size=1, max_size=5), overwrite=st.booleans())
    def edit(self, edits: list[tuple[int, str, str]], overwrite: bool) -> None:
        wanted = {(str(row), column): value for row, column, value in edits}
        seen = self.remembered
        stored = {key for key, _ in read_table()}
        cells = [
            Cell(key, column, _given(column, seen[key, column]), _given(column, value))
            for (key, column), value in wanted.items()
            if key in stored and (key, column) in seen
        ]
        try:
            change_set = stage_cells(Card, cells, self.user)
        except NothingToChange:
            return
        self._start(ApplyChangeSet, {"change_set": change_set.pk, "overwrite": overwrite})

    @rule(which=WHICH)
    def undo(self, which: int) -> None:
        audited = list(AuditLog.objects.filter(run__in=self.ended).order_by("pk"))
        if not audited:
            return
        try:
            change_set = stage_undo(audited[which % len(audited)], self.user)
        except UndoRefused:
            return
        self._start(ApplyChangeSet, {"change_set": change_set.pk})

    @rule(which=WHICH)
    def revert(self, which: int) -> None:
        if self.ended:
            self._start(Revert, {"run": self.ended[which % len(self.ended)]})

    @rule()
    def promote(self) -> None:
        self._start(registry.get_operation("bulk_promote"), {"from_rarity": "common", "to_rarity": "rare"})

    @rule()
    def step(self) -> None:
        """Let the run go on by a batch: what it audits is what it changes."""
        if self.run is None:
            return
        before, audited_before = read_table(), read_audited(self.run)
        self.worker.run_once()
        after = read_table()
        new = {cell: sides for cell, sides in read_audited(self.run).items() if cell not in audited_before}
        difference = {cell: (old, after[cell]) for cell, old in before.items() if old != after.get(cell, old)}
        assert {cell: sides for cell, sides in new.items() if sides[0] != sides[1]} == difference
        if self.run.state != State.RUNNING:
            self._check_ended(self.run)

    def teardown(self) -> None:
        if not hasattr(self, "remembered"):
            return
        self.other.commit()
        self._finish()

    def _start(self, operation: Any, params: dict[str, Any]) -> None:
        self._finish()
        self.run = create_run(operation, params=params, batch_size=2)
        self.worker = RunExecutor(self.run, RecordingMonitor(), Event())
        self.before, self.touched = read_table(), set[str]()
        if self.other.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self.touched |= {"1", "2", "3"}  # what it wrote is not seen yet
        lifecycle.start(self.run)

    def _finish(self) -> None:
        while self.run is not None:
            self.step()

    def _check_ended(self, run: Run) -> None:
        assert run.state in (*COMPLETED, State.FAILED), run.error
        self.run = None
        self.ended.append(run.pk)
        if find_operation_by_cell(run) is not None:
            check_cells(run, self.before, self.touched)

    def _touch(self, row: int) -> None:
        if self.run is not None:
            self.touched.add(str(row))

    def _execute(self, statement: str, *params: Any) -> None:
        """A player's statement; one that loses to the engine is rolled back."""
        try:
            self.other.execute(statement, params)
        except psycopg.Error:
            self.other.rollback()


def _given(column: str, image: str) -> Any:
    return image if column == "metadata" else image[1:-1]


def read_audited(run: Run) -> dict[tuple[str, str], tuple[str, str]]:
    return _read_cells("audit_logs WHERE run_id = %s", run.pk)


def _read_cells(source: str, owner: int) -> dict[tuple[str, str], tuple[str, str]]:
    """The two images of each cell in ``changes``, by key and column."""
    rows = execute_sql(
        "SELECT object_id, key, (value->'old')::text, (value->'new')::text"
        f" FROM (SELECT * FROM {source}) AS entry, jsonb_each(changes)",
        owner,
    )
    assert len(rows) == len({(key, column) for key, column, *_ in rows})
    return {(key, column): (old, new) for key, column, old, new in rows}


def check_cells(run: Run, before: Table, touched: set[str]) -> None:
    """Each cell that the run was to write was as it was seen and is written, or is left and listed."""
    operation: Any = find_operation_by_cell(run)
    cells = operation.cells
    if run.operation == Revert.name:
        asked = {cell: (new, old) for cell, (old, new) in read_audited(operation.run).items()}
    else:
        asked = _read_cells("ops_staged_change WHERE change_set_id = %s", operation.change_set.pk)
    asked = {cell: sides for cell, sides in asked.items() if cell[1] in {c.column for c in cells.judged}}
    written, now = read_audited(run), read_table()
    conflicts = {(row.object_id, name) for row in build_conflict_list(run) for name in row.columns}
    failed = {*run.failures.values_list("object_id", flat=True)}
    for cell, (seen, wanted) in asked.items():
        if cell in written:
            assert written[cell][1] == wanted
            assert cells.overwrite or written[cell][0] == seen
            assert cell not in conflicts
        elif cell[0] not in failed:
            assert (cell in conflicts) == (now.get(cell) != wanted)
            if cell[0] not in touched:
                assert before.get(cell) != seen or seen == wanted
    assert conflicts <= set(asked) - set(written)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", timedelta(milliseconds=10))
    monkeypatch.setattr(loop, "SWEEP_DELAY", timedelta())
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#000000", sort_order=order)
    user = get_user_model().objects.create_superuser("ana")
    with player() as other:
        other.execute("SET lock_timeout = '10ms'")
        other.commit()
        yield type("Interleaving", (Interleaving,), {"other": other, "user": user})


def test_any_cell_is_as_the_last_who_saw_it_wanted_or_a_conflict(
    machine: Callable[[], Interleaving], request: pytest.FixtureRequest
) -> None:
    large = request.config.getoption("--chaos", default=False)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100 if large else 5,
            stateful_step_count=40 if large else 16,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
