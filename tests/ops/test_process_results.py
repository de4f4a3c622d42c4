"""Operations that need Python for each row."""

from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Concat

from ops.engine.loop import RunExecutor
from ops.exceptions import AllRowsFailed
from ops.runs import lifecycle
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    MISSING,
    RecordingMonitor,
    audited_changes,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    make_row_operation,
    player,
    primary_keys,
)
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

HERE, DIVIDED = Path(__file__).name, "ZeroDivisionError: integer division or modulo by zero"


def each(row: Thing) -> Mapping[str, Any]:
    return {"note": row.name}


@pytest.mark.engine
def test_errors_are_failures_of_their_rows(declare: RegisterOperation) -> None:
    rows = create_things(6)

    def process(batch: list[Thing]) -> dict[Any, Any]:
        return {
            row.pk: OSError(f"no file {row.name}") if row.name in ("t2", "t5") else each(row) for row in batch
        }

    run = execute_operation(declare(make_row_operation(MISSING, process, "note")))
    assert run.state == "finished_with_failures"
    assert errors_by_object(run) == {str(rows[1].pk): "no file t2", str(rows[4].pk): "no file t5"}
    assert audited_changes(run).keys() == primary_keys(rows) - errors_by_object(run).keys()
    assert run.lanes.get().failed == 2


def test_an_error_without_a_message_is_named_by_its_class(declare: RegisterOperation) -> None:
    (row,) = create_things(1)
    run = execute_operation(
        declare(make_row_operation(MISSING, lambda rows: {rows[0].pk: KeyError()}, "note"))
    )
    assert errors_by_object(run) == {str(row.pk): "KeyError"}


def test_a_row_without_a_result_is_a_failure(declare: RegisterOperation) -> None:
    first, second = create_things(2)
    run = execute_operation(
        declare(make_row_operation(MISSING, lambda rows: {first.pk: {"note": "x"}}, "note"))
    )
    assert errors_by_object(run) == {str(second.pk): "process() returned nothing for this row"}
    assert audited_changes(run).keys() == {str(first.pk)}


def test_a_result_for_an_undeclared_column_is_a_failure(declare: RegisterOperation) -> None:
    """Not a change of nothing that is audited as one."""
    (row,) = create_things(1)
    run = execute_operation(
        declare(make_row_operation(MISSING, lambda rows: {r.pk: {"nota": "x"} for r in rows}, "note"))
    )
    assert errors_by_object(run) == {str(row.pk): "process() returned nota, not declared in columns"}
    assert audited_changes(run) == {}


def test_a_column_without_a_result_keeps_its_value(declare: RegisterOperation) -> None:
    (row,) = create_things(1, score=7)
    run = execute_operation(
        declare(make_row_operation(MISSING, lambda rows: {r.pk: each(r) for r in rows}, "note", "score"))
    )
    row.refresh_from_db()
    assert (row.note, row.score, run.state) == ("t1", 7, "succeeded")


def test_an_exception_fails_the_run_which_can_go_on(declare: RegisterOperation) -> None:
    rows = create_things(10)
    broken = [True]

    def process(batch: list[Thing]) -> dict[Any, Any]:
        if broken and batch[0].pk == rows[4].pk:
            raise ConnectionError("the renderer is away")
        return {row.pk: each(row) for row in batch}

    run = create_run(declare(make_row_operation(MISSING, process, "note")), batch_size=4)
    with pytest.raises(ConnectionError):
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "ConnectionError: the renderer is away")
    assert (len(audited_changes(run)), errors_by_object(run)) == (4, {})
    broken.clear()
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"
    assert audited_changes(run).keys() == primary_keys(rows)


@pytest.mark.parametrize("batch_size", [None, 1, 7, 40])
def test_rows_for_which_process_raises_fail_alone(declare: RegisterOperation, batch_size: int | None) -> None:
    rows = create_things(40)
    Thing.objects.exclude(name__in=["t1", "t2", "t21", "t40"]).update(score=5)
    bad = [rows[0], rows[1], rows[20], rows[39]]

    def process(batch: list[Thing]) -> dict[Any, Any]:
        return {row.pk: {"note": str(10 // row.score)} for row in batch}

    run = execute_operation(declare(make_row_operation(MISSING, process, "note")), batch_size=batch_size)
    assert run.state == "finished_with_failures"
    assert errors_by_object(run).keys() == primary_keys(bad)
    assert set(errors_by_object(run).values()) == {
        f"{DIVIDED} ({HERE}, line {process.__code__.co_firstlineno + 1})"
    }
    assert audited_changes(run).keys() == primary_keys(rows) - primary_keys(bad)
    assert run.lanes.get().failed == 4


def test_a_row_for_which_process_raises_in_a_later_sweep_fails(declare: RegisterOperation) -> None:
    rows = create_things(12)

    def process(batch: list[Thing]) -> dict[Any, Any]:
        if any(row.name == "late" for row in batch):
            raise LookupError
        results = {row.pk: each(row) for row in batch}
        Thing.objects.filter(pk=rows[4].pk, name="t5").update(name="late")  # read before, changed since
        return results

    run = execute_operation(declare(make_row_operation(MISSING, process, "note")), batch_size=12)
    assert (errors_by_object(run).keys(), run.sweep) == (primary_keys([rows[4]]), 2)
    assert errors_by_object(run)[str(rows[4].pk)].startswith("LookupError (")
    assert audited_changes(run).keys() == primary_keys(rows) - primary_keys([rows[4]])


@pytest.mark.parametrize("result", [None, [], "ok"])
def test_a_result_that_is_not_a_mapping_is_a_failure(declare: RegisterOperation, result: Any) -> None:
    (row,) = create_things(1)
    run = execute_operation(declare(make_row_operation(MISSING, lambda rows: result, "note")))
    kind = type(result).__name__
    assert f"process() returned {kind}, not a mapping by primary key" in errors_by_object(run)[str(row.pk)]


@pytest.mark.parametrize("cause", [ConnectionRefusedError(111, "refused"), OSError(28, "disk full")])
def test_an_infrastructure_error_behind_a_librarys_fails_the_run(
    declare: RegisterOperation, cause: Exception
) -> None:
    """Libraries, as requests and redis do, raise theirs while they handle Python's."""
    create_things(3)

    def process(batch: list[Thing]) -> dict[Any, Any]:
        try:
            raise cause
        except OSError as exc:
            raise RuntimeError("the renderer is away") from exc

    run = create_run(declare(make_row_operation(MISSING, process, "note")))
    with pytest.raises(RuntimeError, match="the renderer is away"):
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, errors_by_object(run)) == ("failed", {})


def wrong_column(batch: list[Thing]) -> dict[Any, Any]:
    return {row.pk: {"nota": "x"} for row in batch}


def raise_lookup_error(batch: list[Thing]) -> dict[Any, Any]:
    raise LookupError("no such price")


@pytest.mark.parametrize("process", [wrong_column, raise_lookup_error])
def test_a_run_whose_first_hundred_rows_all_fail_is_stopped(declare: RegisterOperation, process: Any) -> None:
    create_things(1_000)
    run = create_run(declare(make_row_operation(MISSING, process, "note")), lanes=2)
    with pytest.raises(AllRowsFailed, match=f"resume {run.pk}") as stopped:
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, audited_changes(run)) == ("failed", {})
    assert 100 <= len(errors_by_object(run)) <= 200
    assert str(stopped.value) in run.error
    assert list(errors_by_object(run).values())[-1] in run.error


def test_process_that_raises_for_a_hundred_rows_in_a_row_stops_the_run(declare: RegisterOperation) -> None:
    """process() succeeded before: some server is unavailable, whatever the exception says."""
    rows = create_things(300)

    def process(batch: list[Thing]) -> dict[Any, Any]:
        if batch[-1].pk > rows[59].pk:
            raise_lookup_error(batch)
        return {row.pk: each(row) for row in batch}

    run = create_run(declare(make_row_operation(MISSING, process, "note")))
    with pytest.raises(AllRowsFailed, match=r"raised for 100 rows.* LookupError: no such price"):
        execute_run(run)
    assert (len(audited_changes(run)), len(errors_by_object(run))) == (60, 100)


def test_a_hundred_failures_among_rows_that_succeed_do_not_stop_a_run(declare: RegisterOperation) -> None:
    create_things(150, score=-1), create_things(1, score=1), create_things(150)

    def process(batch: list[Thing]) -> dict[Any, Any]:
        return {row.pk: {"note": "x"} if row.score == 1 else ValueError("bad") for row in batch}

    rows = Thing.objects.filter(note=None).exclude(score=-1)
    run = execute_operation(declare(make_row_operation(rows, process, "note")))
    assert (run.state, len(errors_by_object(run)), len(audited_changes(run))) == (
        "finished_with_failures",
        150,
        1,
    )


def test_max_failures_allows_that_many_rows_to_fail(declare: RegisterOperation) -> None:
    create_things(230)
    run = execute_operation(declare(make_row_operation(MISSING, wrong_column, "note")), max_failures=230)
    assert (run.state, len(errors_by_object(run))) == ("finished_with_failures", 230)


@pytest.mark.engine
def test_no_transaction_is_open_and_no_row_locked_meanwhile(declare: RegisterOperation) -> None:
    rows = create_things(3)
    in_transaction = []

    def process(batch: list[Thing]) -> dict[Any, Any]:
        in_transaction.append(connection.in_atomic_block)
        with player() as other:
            other.execute("SET lock_timeout = '2s'")
            other.execute("UPDATE trials_thing SET score = 1")
            other.commit()
        return {row.pk: each(row) for row in batch}

    run = execute_operation(
        declare(make_row_operation(MISSING, process, "note")), RecordingMonitor(), batch_size=50
    )
    assert set(in_transaction) == {False}
    assert run.state == "finished_with_failures"  # each time, a player was faster
    assert errors_by_object(run).keys() == primary_keys(rows)


@pytest.mark.engine
def test_a_row_changed_since_it_was_read_waits_for_the_next_sweep(declare: RegisterOperation) -> None:
    rows = create_things(3)
    touched: list[int] = []

    def process(batch: list[Thing]) -> dict[Any, Any]:
        if not touched:
            touched.append(Thing.objects.filter(pk=rows[1].pk).update(name="fresh"))
        return {row.pk: each(row) for row in batch}

    run = execute_operation(declare(make_row_operation(MISSING, process, "note")))
    assert (run.state, run.sweep) == ("succeeded", 2)
    assert audited_changes(run)[str(rows[1].pk)] == {"note": {"old": None, "new": "fresh"}}


@pytest.mark.engine
def test_a_row_filled_since_it_was_read_stays_as_the_player_left_it(declare: RegisterOperation) -> None:
    first, second = create_things(2)

    def process(batch: list[Thing]) -> dict[Any, Any]:
        Thing.objects.filter(pk=first.pk).update(note="mine")
        return {row.pk: each(row) for row in batch}

    run = execute_operation(declare(make_row_operation(MISSING, process, "note")))
    assert (run.state, audited_changes(run).keys()) == ("succeeded", {str(second.pk)})


@pytest.mark.engine
def test_a_row_deleted_since_it_was_read_is_no_failure(declare: RegisterOperation) -> None:
    first, second = create_things(2)

    def process(batch: list[Thing]) -> dict[Any, Any]:
        Thing.objects.filter(pk=first.pk).delete()
        return {row.pk: each(row) for row in batch}

    run = execute_operation(declare(make_row_operation(MISSING, process, "note")))
    assert (run.state, audited_changes(run).keys()) == ("succeeded", {str(second.pk)})


def test_process_gets_the_rows_with_their_annotations(declare: RegisterOperation) -> None:
    (row,) = create_things(1)
    rows = MISSING.annotate(loud=Concat("name", Value("!"))).only("name")
    run = execute_operation(
        declare(make_row_operation(rows, lambda batch: {r.pk: {"note": r.loud} for r in batch}, "note"))
    )
    assert audited_changes(run) == {str(row.pk): {"note": {"old": None, "new": "t1!"}}}


def test_process_is_not_called_without_rows(declare: RegisterOperation) -> None:
    calls = []
    execute_operation(declare(make_row_operation(MISSING, lambda batch: calls.append(batch) or {}, "note")))
    create_things(200, note="x")
    execute_operation(declare(make_row_operation(MISSING, lambda batch: calls.append(batch) or {}, "note")))
    assert calls == []


@pytest.mark.engine
def test_a_value_that_no_column_can_hold_is_a_failure_of_its_row(declare: RegisterOperation) -> None:
    first, second = create_things(2)

    def process(batch: list[Thing]) -> dict[Any, Any]:
        return {row.pk: {"note": object() if row.pk == first.pk else "x"} for row in batch}

    run = execute_operation(declare(make_row_operation(MISSING, process, "note")))
    assert (run.state, audited_changes(run).keys()) == ("finished_with_failures", {str(second.pk)})
    assert "object" in errors_by_object(run)[str(first.pk)]


@pytest.mark.engine
def test_two_processes_work_in_two_lanes_if_there_are_two(
    declare: RegisterOperation,
) -> None:
    """No lane is locked during process(), so the heartbeat must show which lane is taken."""
    rows, batches = create_things(40), []

    def process(batch: list[Thing]) -> dict[Any, Any]:
        batches.append({row.pk for row in batch})
        if len(batches) % 2:
            other.run_once()
        return {row.pk: each(row) for row in batch}

    run = create_run(declare(make_row_operation(MISSING, process, "note")), lanes=2, batch_size=5)
    lifecycle.start(run)
    first, other = (RunExecutor(lifecycle.get_run(run.pk), RecordingMonitor(), Event()) for _ in range(2))
    for _ in range(4):
        first.run_once()
    assert [len(pks) for pks in batches] == [5] * 8
    assert set.union(*batches) == {row.pk for row in rows}
