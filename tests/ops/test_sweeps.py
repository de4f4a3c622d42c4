"""Players on the same rows: rows that they lock are skipped, tried later, and never overwritten."""

from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection
from django.db.models import BooleanField, F, Func
from django.test.utils import CaptureQueriesContext

from ops.engine.locks import LAST_SWEEP
from ops.engine.loop import RunExecutor
from ops.engine.statement import may_merge
from ops.models import Lane, Run
from ops.operations.revert import Revert
from ops.runs import lifecycle
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    BOTH,
    FILL,
    MISSING,
    RecordingMonitor,
    audited_changes,
    commit_when_awaited,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    execute_sql,
    is_lock_awaited,
    make_operation,
    player,
    primary_keys,
    wait_until,
)
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

HOLD = "SELECT FROM trials_thing WHERE id = ANY(%s) FOR UPDATE"


@BOTH
def test_rows_that_a_player_has_locked_are_tried_in_the_next_sweep(
    declare: RegisterOperation, declared: Any
) -> None:
    rows = create_things(10)
    with player() as other:
        other.execute(HOLD, [[rows[0].pk, rows[5].pk]])
        released = RecordingMonitor(lambda number: Lane.objects.get().finished and other.rollback())
        run = execute_operation(declare(declared), released, batch_size=4)
    assert (run.state, run.sweep) == ("succeeded", 2)
    assert audited_changes(run).keys() == primary_keys(rows)


@BOTH
def test_a_row_locked_to_the_end_is_recorded_as_failed(declare: RegisterOperation, declared: Any) -> None:
    rows = create_things(4)
    with player() as other:
        other.execute(HOLD, [[rows[1].pk]])
        run = execute_operation(declare(declared))
    assert run.state == "finished_with_failures"
    assert audited_changes(run).keys() == primary_keys(rows) - {str(rows[1].pk)}
    assert errors_by_object(run).keys() == {str(rows[1].pk)}


@BOTH
def test_rows_that_commit_behind_the_cursor_are_caught(declare: RegisterOperation, declared: Any) -> None:
    rows = create_things(10)
    Thing.objects.filter(pk=rows[0].pk).update(note="x")
    with player() as other:
        other.execute("UPDATE trials_thing SET note = NULL WHERE id = %s", [rows[0].pk])
        run = execute_operation(
            declare(declared), RecordingMonitor(lambda number: number == 2 and other.commit()), batch_size=4
        )
    assert (run.state, audited_changes(run).keys()) == ("succeeded", primary_keys(rows))


def test_batches_merge_and_skip_locked_rows_after_one_met_a_lock(
    declare: RegisterOperation,
) -> None:
    rows = create_things(100)
    with player() as other, CaptureQueriesContext(connection) as queries:
        other.execute(HOLD, [[rows[45].pk]])
        released = RecordingMonitor(lambda number: Lane.objects.get().finished and other.rollback())
        run = execute_operation(declare(FILL), released, batch_size=10)
    assert (run.state, run.sweep, len(audited_changes(run))) == ("succeeded", 2, 100)
    modes = ["skip" if "SKIP LOCKED" in q["sql"] else "merge" for q in queries if "audited AS" in q["sql"]]
    # Four batches, and a fifth that met the locked row.
    merged = 5 if may_merge(Thing) else 0
    assert modes == ["merge"] * merged + ["skip"] * (len(modes) - merged)


def test_the_cursor_stops_at_the_last_key_in_its_own_order(declare: RegisterOperation) -> None:
    """As text, 99 comes after 100."""
    Thing.objects.bulk_create(Thing(pk=pk, name="t") for pk in range(79, 131))
    cursors: list[str | None] = []
    with player() as other:
        other.execute(HOLD, [[79]])  # so that rows are locked first, and a batch may be full
        monitor = RecordingMonitor(lambda number: cursors.append(Lane.objects.get().cursor))
        run = create_run(declare(FILL), batch_size=11)
        lifecycle.start(run)
        worker = RunExecutor(run, monitor, Event())
        while len(cursors) < 5:
            worker.run_once()
    assert [cursor for cursor in cursors if cursor][:4] == ["89", "100", "111", "122"]


def test_a_process_that_slept_until_the_last_sweep_waits_for_rows(
    declare: RegisterOperation,
) -> None:
    create_things(2)
    run = create_run(declare(FILL))
    lifecycle.start(run)
    worker = RunExecutor(run, RecordingMonitor(), Event())
    Run.objects.update(sweep=LAST_SWEEP)
    with CaptureQueriesContext(connection) as queries:
        worker.run_once()
        worker.run_once()
    assert len(audited_changes(run)) == 1
    assert not [query for query in queries if "SKIP LOCKED" in query["sql"] and "audited AS" in query["sql"]]


def test_a_sweep_that_waits_checks_the_row_again(declare: RegisterOperation) -> None:
    """The engine waits for the lock of a row that no longer needs the change when it gets it."""
    filled, missing = create_things(2)
    run = create_run(declare(FILL))
    type(run).objects.update(sweep=3)
    with player() as other:
        other.execute("UPDATE trials_thing SET note = 'mine' WHERE id = %s", [filled.pk])
        with commit_when_awaited(other):
            execute_run(run)
    assert run.state == "succeeded"
    assert audited_changes(run).keys() == {str(missing.pk)}
    filled.refresh_from_db()
    assert filled.note == "mine"


def test_a_row_changed_since_the_statements_snapshot_is_not_audited(
    declare: RegisterOperation, gate: Any
) -> None:
    """The row is a candidate in the statement's snapshot; before it is locked, a player fills it in."""
    create_things(2)
    is_passing = Func(F("id"), function="trial_gate", output_field=BooleanField())
    rows = MISSING.annotate(is_passing=is_passing).filter(is_passing=True)
    run = create_run(declare(make_operation(lambda: rows, {"note": "run"})))
    gate.close()
    thread = Thread(target=lambda: (execute_run(run), connection.close()))
    thread.start()
    wait_until(is_lock_awaited)
    execute_sql("UPDATE trials_thing SET note = 'player'")
    gate.open()
    thread.join()
    run.refresh_from_db()
    assert (run.state, audited_changes(run)) == ("succeeded", {})
    assert {*Thing.objects.values_list("note", flat=True)} == {"player"}


@pytest.fixture
def gate(transactional_db: None) -> Any:
    """A function of rows that waits as long as the gate is closed."""
    execute_sql(
        "CREATE FUNCTION trial_gate(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_advisory_xact_lock_shared(4711); RETURN true; END $$"
    )
    with player() as other:

        class Gate:
            def close(self) -> None:
                other.execute("SELECT pg_advisory_xact_lock(4711)")

            def open(self) -> None:
                other.rollback()

        yield Gate()
    execute_sql("DROP FUNCTION trial_gate")


@BOTH
def test_a_row_that_a_trigger_keeps_unchanged_is_a_failure(
    declare: RegisterOperation, trigger: Any, declared: Any
) -> None:
    rows = create_things(3)
    trigger("trials_thing", "IF OLD.name = 't2' THEN RETURN NULL; END IF; RETURN NEW;")
    run = execute_operation(declare(declared))
    assert run.state == "finished_with_failures"
    assert errors_by_object(run).keys() == {str(rows[1].pk)}
    assert audited_changes(run).keys() == {str(rows[0].pk), str(rows[2].pk)}


def test_a_revert_of_every_row_reads_none_of_them_again(declare: RegisterOperation) -> None:
    create_things(6)
    run = execute_operation(declare(FILL))
    with CaptureQueriesContext(connection) as queries:
        reverted = execute_operation(Revert, params={"run": run.pk})
    statements = [query["sql"] for query in queries]
    batches = [i for i, text in enumerate(statements) if 'INSERT INTO "audit_logs"' in text]
    assert (reverted.state, len(audited_changes(reverted)), len(batches)) == ("succeeded", 6, 1)
    check, *later = statements[batches[0] + 1 :]  # that the rows of the first batch do not match again
    assert "EXISTS" in check
    assert [text for text in later if "listed_audit_logs_" in text] == []


def test_a_row_changed_back_to_the_runs_value_is_reverted_later(declare: RegisterOperation) -> None:
    rows = create_things(6)
    run = execute_operation(declare(FILL))
    first = Thing.objects.filter(pk=min(primary_keys(rows)))
    first.update(note="a player")

    def change_back(batches: int) -> None:
        if batches == 1:
            first.update(note=F("name"))

    reverted = execute_operation(Revert, RecordingMonitor(change_back), params={"run": run.pk}, batch_size=3)
    assert (reverted.state, reverted.sweep) == ("succeeded", 2)
    assert audited_changes(reverted).keys() == primary_keys(rows)
