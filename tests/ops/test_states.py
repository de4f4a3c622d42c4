"""The moves of a run: those of the table and no other."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from ops import runs
from ops.exceptions import IllegalMove, UnknownRun
from ops.models import Claim, Run
from ops.progress import progress_of
from ops.states import MOVES, State
from tests.ops.conftest import Declare
from tests.ops.running import (
    Watched,
    audited,
    create,
    go,
    keys,
    operation,
    player,
    somebody_waits,
    things,
    until,
)
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

FILL = operation(Thing.objects.filter(note=None), {"note": "x"})
S = State


def run_in(state: State) -> Run:
    return Run.objects.create(operation="trial", as_of=timezone.now(), total=0, columns=["note"], state=state)


@pytest.mark.parametrize("origin", State)
def test_a_run_moves_as_the_table_says_and_not_otherwise(origin: State) -> None:
    for to in State:
        run = run_in(origin)
        if to in MOVES[origin]:
            runs.move(run, to)
            assert run.state == to
        else:
            with pytest.raises(IllegalMove) as refused:
                runs.move(run, to)
            assert str(refused.value) == (
                f"run {run.pk} cannot become {to.label}: its state is {origin.label}."
                f" To see it: manage.py runs show {run.pk}"
            )
            run.refresh_from_db()
            assert run.state == origin


def test_the_table_is_the_designs() -> None:
    ends = {S.SUCCEEDED, S.FINISHED_WITH_FAILURES, S.VERIFICATION_FAILED, S.FAILED}
    assert {
        S.AWAITING_APPROVAL: {S.QUEUED, S.CANCELLED},
        S.QUEUED: {S.RUNNING, S.CANCELLED},
        S.RUNNING: {S.PAUSING, S.CANCELLING, *ends},
        S.PAUSING: {S.PAUSED, *ends},
        S.PAUSED: {S.QUEUED, S.CANCELLED},
        S.CANCELLING: {S.CANCELLED, *ends},
        S.FAILED: {S.QUEUED},
        S.FINISHED_WITH_FAILURES: {S.QUEUED},
        S.VERIFICATION_FAILED: {S.QUEUED},
        S.SUCCEEDED: set(),
        S.CANCELLED: set(),
    } == MOVES


# What each state becomes by each verb; None where it is refused.
VERBS: dict[Callable[[Run], None], dict[State, State | None]] = {
    runs.pause: {S.RUNNING: S.PAUSED, S.PAUSING: S.PAUSED},
    runs.cancel: {
        **dict.fromkeys((S.AWAITING_APPROVAL, S.QUEUED, S.RUNNING, S.PAUSED, S.CANCELLING), S.CANCELLED),
        S.PAUSING: S.CANCELLED,
        S.CANCELLED: S.CANCELLED,
    },
    runs.requeue: {
        S.RUNNING: S.RUNNING,
        S.AWAITING_APPROVAL: None,
        **dict.fromkeys((S.QUEUED, S.PAUSING, S.PAUSED, S.FAILED), S.QUEUED),
        **dict.fromkeys((S.FINISHED_WITH_FAILURES, S.VERIFICATION_FAILED), S.QUEUED),
    },
}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("state", State)
def test_a_verb_brings_a_run_where_it_says_or_is_refused(
    declare: Declare, verb: Callable[[Run], None], state: State
) -> None:
    run = create(declare(FILL))
    Run.objects.update(state=state)
    run.refresh_from_db()
    if becomes := VERBS[verb].get(state):
        verb(run)
        assert (run.state, Run.objects.get().state) == (becomes, becomes)
        assert Claim.objects.exists() == (becomes != S.CANCELLED) or state == S.CANCELLED
    else:
        with pytest.raises(IllegalMove, match=f"run {run.pk} "):
            verb(run)


def test_an_unknown_run_is_answered_with_how_to_list_them() -> None:
    with pytest.raises(UnknownRun, match=r"^there is no run 42. To list the runs: manage.py runs$"):
        runs.get(42)


def test_a_pause_between_batches_keeps_what_was_done_and_resume_finishes(declare: Declare) -> None:
    rows = things(10)
    run = create(declare(FILL), batch_size=3)
    go(run, Watched(lambda number: number == 2 and runs.pause(Run.objects.get())))
    assert (run.state, len(audited(run)), run.finished_at) == ("paused", 6, None)
    runs.requeue(run)
    assert go(run).state == "succeeded"
    assert audited(run).keys() == keys(rows)


def test_a_wish_to_stop_pauses_after_the_batch(declare: Declare) -> None:
    things(10)
    stop = Event()
    run = go(create(declare(FILL), batch_size=3), Watched(lambda number: stop.set()), stop)
    assert (run.state, len(audited(run))) == ("paused", 3)


@pytest.mark.parametrize(("verb", "becomes"), [(runs.pause, S.PAUSED), (runs.cancel, S.CANCELLED)])
def test_a_wish_to_stop_after_somebody_halted_the_run_is_no_error(
    declare: Declare, verb: Callable[[Run], None], becomes: State
) -> None:
    things(10)
    stop = Event()
    watched = Watched(lambda number: (verb(Run.objects.get()), stop.set()))
    assert go(create(declare(FILL), batch_size=3), watched, stop).state == becomes


def test_a_cancel_between_batches_keeps_what_was_done_and_frees_the_column(declare: Declare) -> None:
    things(10)
    run = create(declare(FILL), batch_size=3)
    go(run, Watched(lambda number: runs.cancel(Run.objects.get())))
    assert (run.state, len(audited(run))) == ("cancelled", 3)
    assert run.finished_at is not None
    assert not Claim.objects.exists()
    with pytest.raises(IllegalMove, match=r"is over \(cancelled\)"):
        runs.requeue(run)


def test_times_are_of_the_first_start_and_the_last_end(declare: Declare) -> None:
    things(6)
    run = create(declare(FILL), batch_size=3)
    assert (run.started_at, run.finished_at) == (None, None)
    go(run, Watched(lambda number: runs.pause(Run.objects.get())))
    started = run.started_at
    assert started is not None
    runs.requeue(run)
    go(run)
    assert run.started_at == started
    assert run.finished_at > started


def test_a_run_that_a_restore_paused_has_not_worked_since_its_backup(declare: Declare) -> None:
    things(3)
    run = create(declare(FILL))
    Run.objects.update(state=S.PAUSED, worked=timedelta(seconds=2), working_since=Now() - timedelta(days=1))
    runs.requeue(run)
    assert (run.state, run.worked, run.working_since) == ("queued", timedelta(seconds=2), None)


def test_the_time_in_which_nobody_worked_on_a_run_that_was_killed_does_not_count(declare: Declare) -> None:
    things(3)
    run = create(declare(FILL))
    runs.start(run)
    hour = timedelta(hours=1)
    Run.objects.update(working_since=Now() - 2 * hour)
    run.lanes.update(heartbeat_at=Now() - hour)
    runs.start(run)
    run.refresh_from_db()
    assert hour <= progress_of(run).elapsed < 1.5 * hour


def test_the_time_of_a_run_that_others_work_on_goes_on_where_one_joins(declare: Declare) -> None:
    things(3)
    run = create(declare(FILL))
    runs.start(run)
    Run.objects.update(working_since=Now() - timedelta(hours=2))
    run.lanes.update(heartbeat_at=Now())
    runs.start(run)
    run.refresh_from_db()
    assert progress_of(run).elapsed >= timedelta(hours=2)


def test_two_processes_that_start_one_queued_run_both_work_on_it(declare: Declare) -> None:
    things(3)
    run = create(declare(FILL))
    twin = Run.objects.get(pk=run.pk)
    runs.start(run)
    runs.start(twin)
    assert (run.state, twin.state) == ("running", "running")


@pytest.mark.parametrize(
    ("act", "origin", "meanwhile", "becomes"),
    [
        (runs.complete_halt, S.PAUSING, S.SUCCEEDED, S.SUCCEEDED),
        (runs.complete_halt, S.CANCELLING, S.FAILED, S.FAILED),
        (runs.cancel, S.QUEUED, S.RUNNING, S.CANCELLED),
    ],
)
def test_a_run_that_is_moved_in_the_same_moment_is_halted_or_left_at_its_end(
    act: Callable[[Run], None], origin: State, meanwhile: State, becomes: State
) -> None:
    run, refused = run_in(origin), []

    def asked() -> None:
        try:
            act(run)
        except IllegalMove as exc:
            refused.append(exc)
        finally:
            connection.close()

    asking = Thread(target=asked)
    with player() as other:
        other.execute("UPDATE ops_run SET state = %s WHERE id = %s", [meanwhile, run.pk])
        asking.start()
        until(somebody_waits)
        other.commit()
    asking.join(timeout=30)
    assert (Run.objects.get(pk=run.pk).state, run.state, refused) == (becomes, becomes, [])


def test_a_run_whose_model_is_gone_is_cancelled_and_its_column_free(declare: Declare) -> None:
    things(6)
    run = create(declare(FILL), batch_size=2)
    go(run, Watched(lambda number: runs.pause(run)))
    Run.objects.update(model="trials.gone")
    runs.cancel(runs.get(run.pk))
    assert (Run.objects.get().state, Claim.objects.count()) == (S.CANCELLED, 0)
