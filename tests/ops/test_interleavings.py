"""Any interleaving of the engine with players who update, insert, delete, lock rows and commit late."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event
from typing import Any

import psycopg
import pytest
from django.db.models import F
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ops.engine import locks, loop
from ops.engine.locks import LAST_SWEEP
from ops.engine.loop import RunExecutor
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.operations.scope import Scope
from ops.runs import lifecycle
from ops.states import State
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    create_run,
    execute_operation,
    execute_sql,
    make_operation,
    player,
)
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

FILL = make_operation(lambda: Thing.objects.filter(note=None), {"note": F("name")}, name="fill")
PLAYERS, ROWS = st.integers(0, 1), st.integers(1, 12)
NOTES = st.sampled_from([None, "x", "y"])


class Interleaving(RuleBasedStateMachine):
    """After each step of the engine, its new audit rows are the difference that the step made."""

    others: list["psycopg.Connection[Any]"]
    scope: Scope

    @initialize(missing=st.sets(ROWS, min_size=1))
    def begin(self, missing: set[int]) -> None:
        for other in self.others:
            other.rollback()
        Thing.objects.all().delete()
        # Odd keys are left for rows that appear behind the cursor.
        Thing.objects.bulk_create(
            Thing(pk=2 * n, name=f"t{n}", note=None if n in missing else "x") for n in range(1, 13)
        )
        self.run = create_run(FILL, batch_size=2, scope=self.scope)
        self.worker = RunExecutor(self.run, RecordingMonitor(), Event())
        # The committed candidates when the last sweep began, without those that a player touched since.
        self.required: set[str] | None = None
        lifecycle.start(self.run)

    @rule()
    def step(self) -> None:
        if self.run.state != State.RUNNING:
            return
        before, audited_before, sweep_before = notes(), audited(self.run), self.run.sweep
        self.worker.run_once()
        if sweep_before < LAST_SWEEP <= self.run.sweep:
            self.required = self.missing()
        after, new = notes(), {k: v for k, v in audited(self.run).items() if k not in audited_before}
        assert new == {k: (before[k], after[k]) for k in before if before[k] != after.get(k)}

    @rule(who=PLAYERS, row=ROWS, note=NOTES)
    def update(self, who: int, row: int, note: str | None) -> None:
        self._touch(who, 2 * row, "UPDATE trials_thing SET note = %s WHERE id = %s", note, 2 * row)

    @rule(who=PLAYERS, row=ROWS, note=NOTES)
    def insert(self, who: int, row: int, note: str | None) -> None:
        statement = (
            "INSERT INTO trials_thing (id, name, note, score, updated_at) VALUES (%s, 'new', %s, 0, now())"
        )
        self._touch(who, 2 * row - 1, statement, 2 * row - 1, note)

    @rule(who=PLAYERS, row=ROWS)
    def delete(self, who: int, row: int) -> None:
        self._touch(who, 2 * row, "DELETE FROM trials_thing WHERE id = %s", 2 * row)

    @rule(who=PLAYERS, row=ROWS)
    def hold(self, who: int, row: int) -> None:
        self._play(who, "SELECT FROM trials_thing WHERE id = %s FOR UPDATE", 2 * row)

    @rule(who=PLAYERS, commit=st.booleans())
    def end_transaction(self, who: int, commit: bool) -> None:
        self.others[who].commit() if commit else self.others[who].rollback()

    @invariant()
    def no_object_is_audited_twice(self) -> None:
        audited(self.run)

    def teardown(self) -> None:
        if not hasattr(self, "run"):
            return
        for other in self.others:
            other.commit()
        ended_before = self.run.state != State.RUNNING
        while self.run.state == State.RUNNING:
            self.step()
        # Rows that appear behind the cursor during the last sweep are left.
        left = self.missing() if self.required is None else self.missing() & self.required
        failed = {*self.run.failures.values_list("object_id", flat=True)}
        # Rows that the run filled and a player emptied again stay empty.
        assert ended_before or left <= {*audited(self.run)} | failed
        self._revert()

    def _revert(self) -> None:
        before, written = notes(), audited(self.run)
        execute_operation(registry.get_operation("revert"), params={"run": self.run.pk})
        restored = {
            k: written[k][0] if k in written and written[k][1] == note else note for k, note in before.items()
        }
        assert notes() == restored

    def missing(self) -> set[str]:
        """The rows within the run's bounds that need the change."""
        keys = {key for key, note in notes().items() if note is None and int(key) <= 24}
        return keys if self.scope.keys is None else keys & self.scope.keys

    def _touch(self, who: int, key: int, statement: str, *params: Any) -> None:
        self._play(who, statement, *params)
        if self.required:
            self.required.discard(str(key))

    def _play(self, who: int, statement: str, *params: Any) -> None:
        """A player's statement; one that loses to the other player, or to the engine, is rolled back."""
        try:
            self.others[who].execute(statement, params)
        except psycopg.Error:
            self.others[who].rollback()


def notes() -> dict[str, str | None]:
    return {str(pk): note for pk, note in Thing.objects.values_list("pk", "note")}


def audited(run: Run) -> dict[str, tuple[Any, Any]]:
    entries = list(AuditLog.objects.filter(run=run).values_list("object_id", "changes"))
    assert len(entries) == len(dict(entries))
    return {key: (changes["note"]["old"], changes["note"]["new"]) for key, changes in entries}


# On 18.4 a trigger like this makes RETURNING OLD of an UPDATE false.
TRIGGER = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER keep BEFORE UPDATE OF score ON trials_thing FOR EACH ROW EXECUTE FUNCTION keep()
"""
EVERYTHING, EVEN_KEYS = Scope(), Scope.of_keys(range(2, 25, 2))


@pytest.fixture(params=[EVERYTHING, EVEN_KEYS], ids=["everything", "keys"])
def machine(
    request: pytest.FixtureRequest, declare: RegisterOperation, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    execute_sql(TRIGGER)
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", timedelta(milliseconds=10))
    monkeypatch.setattr(loop, "SWEEP_DELAY", timedelta())
    declare(FILL)
    with player() as one, player() as two:
        for other in (one, two):
            other.execute("SET lock_timeout = '10ms'")
            other.commit()
        yield type("Interleaving", (Interleaving,), {"others": [one, two], "scope": request.param})
    execute_sql("DROP FUNCTION keep CASCADE")


def test_any_interleaving_is_audited_and_reverted_exactly(
    machine: Callable[[], Interleaving], request: pytest.FixtureRequest
) -> None:
    large = request.config.getoption("--chaos", default=False)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=400 if large else 15,
            stateful_step_count=40 if large else 25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
