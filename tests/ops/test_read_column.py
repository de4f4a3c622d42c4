"""Readers take the column that the log says, half a second later at most, in every process and thread."""

import os
from collections.abc import Iterator
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.test.utils import CaptureQueriesContext

from ops.column_changes import ColumnChange, read_column, readers
from ops.column_changes.steps import Step
from ops.models import ColumnChangeEvent
from tests.ops.running import execute_sql, hide_tables, override_connection, player
from tests.trials.models import Thing

committed = pytest.mark.django_db(transaction=True)


class Change(ColumnChange):
    name = "thing_note"
    model = Thing
    old = "name"
    new = "note"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(readers, "monotonic", clock)
    readers.clear_answers()
    yield clock
    readers.clear_answers()


def record(step: Step, is_back: bool = False) -> None:
    ColumnChangeEvent.objects.create(change=Change.name, step=step, is_back=is_back, performed_by="tester")


def test_a_model_with_one_of_the_two_fields_leaves_no_choice() -> None:
    """Without a query: the database would refuse one here."""
    left = type("Left", (Change,), {"old": "gone"})
    not_yet = type("NotYet", (Change,), {"new": "later"})
    swapped = type("Swapped", (Change,), {"swap": True})
    assert [read_column(change) for change in (left, not_yet, swapped)] == ["note", "name", "name"]


@committed
def test_the_log_says_which_column_to_read(clock: Clock) -> None:
    told = [read_column(Change)]
    for step, is_back in (
        (Step.CONSTRAIN, False),
        (Step.SWITCH, False),
        (Step.RETIRE, False),
        (Step.RETIRE, True),
        (Step.SWITCH, True),
    ):
        record(step, is_back)
        clock.now += 0.5
        told.append(read_column(Change))
    assert told == ["name", "name", "note", "note", "note", "name"]


@committed
def test_an_answer_is_asked_for_once_in_half_a_second(clock: Clock) -> None:
    with CaptureQueriesContext(connection) as queries:
        told = [read_column(Change) for _ in range(50)]
        record(Step.SWITCH)
        clock.now += 0.49
        told.append(read_column(Change))
        assert (set(told), len(queries)) == ({"name"}, 2)
        clock.now += 0.01
        assert read_column(Change) == "note"
    assert len(queries) == 3


@committed
def test_the_query_uses_the_index() -> None:
    ColumnChangeEvent.objects.bulk_create(
        ColumnChangeEvent(change=f"other_{number}", step=Step.SWITCH, performed_by="tester")
        for number in range(5000)
    )
    execute_sql("ANALYZE ops_column_change_event")
    plan = "\n".join(line for (line,) in execute_sql(f"EXPLAIN {readers._LAST_EVENT_SQL}", Change.name, None))
    assert "using idx_column_change_event" in plan, plan


@committed
def test_many_threads_ask_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, told, barrier = [], [], Barrier(8)
    fetch_all = readers.fetch_all

    def count(*args: Any) -> Any:
        asked.append(args)
        return fetch_all(*args)

    def read() -> None:
        barrier.wait()
        told.append(read_column(Change))
        connection.close()

    monkeypatch.setattr(readers, "fetch_all", count)
    record(Step.SWITCH)
    threads = [Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (told, len(asked)) == (["note"] * 8, 1)


@committed
def test_the_last_answer_stays_while_the_database_is_away(clock: Clock) -> None:
    with override_connection(PORT="1"):
        assert read_column(Change) == "name"
    record(Step.SWITCH)
    clock.now += 0.5
    assert read_column(Change) == "note"
    clock.now += 0.5
    with override_connection(PORT="1"):
        assert read_column(Change) == "note"
    record(Step.SWITCH, is_back=True)
    clock.now += 0.5
    assert read_column(Change) == "name"


@committed
def test_a_connection_that_was_lost_is_made_again(clock: Clock) -> None:
    assert read_column(Change) == "name"
    record(Step.SWITCH)
    [(pid,)] = execute_sql("SELECT pg_backend_pid()")
    with player() as other:
        other.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])
    clock.now += 0.5
    assert read_column(Change) == "note"


@committed
@pytest.mark.parametrize("in_transaction", [False, True])
def test_before_the_tables_are_there_the_old_column_is_read(in_transaction: bool) -> None:
    with hide_tables("ops_column_change_event"):
        if not in_transaction:
            assert read_column(Change) == "name"
            return
        with transaction.atomic():
            assert read_column(Change) == "name"
            assert execute_sql("SELECT 1") == [(1,)]  # the transaction was not aborted


@committed
def test_in_a_transaction_the_log_is_asked_too(clock: Clock) -> None:
    assert read_column(Change) == "name"
    with transaction.atomic():
        record(Step.SWITCH)
        clock.now += 0.5
        assert read_column(Change) == "note"


@committed
def test_an_aborted_transaction_has_the_last_answer_for_itself_only(clock: Clock) -> None:
    assert read_column(Change) == "name"
    record(Step.SWITCH)
    clock.now += 0.5
    with transaction.atomic():
        with pytest.raises(Error):
            execute_sql("SELECT 1/0")
        assert read_column(Change) == "name"
        transaction.set_rollback(True)
    assert read_column(Change) == "note"


@committed
def test_what_a_snapshot_tells_is_no_answer_for_others(clock: Clock) -> None:
    with transaction.atomic():
        execute_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert execute_sql("SELECT count(*) FROM ops_column_change_event") == [(0,)]
        thread = Thread(target=lambda: (record(Step.SWITCH), connection.close()))
        thread.start()
        thread.join()
        assert read_column(Change) == "name"
    assert read_column(Change) == "note"


@pytest.mark.django_db
@pytest.mark.parametrize("turn", ["first", "second"])
def test_no_answer_outlives_a_test_in_a_transaction(turn: str) -> None:
    assert read_column(Change) == "name"
    record(Step.SWITCH)
    assert read_column(Change) == "note"
    assert readers._answers == {}


@committed
def test_a_child_process_asks_itself() -> None:
    assert read_column(Change) == "name"
    with readers._lock:  # as if another thread asked at the moment
        child = os.fork()
        if child == 0:
            os._exit(1 if readers._answers or readers._lock.locked() else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert readers._answers != {}
