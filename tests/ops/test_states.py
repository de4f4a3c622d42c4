"""The transitions of a run: those of the table and no other."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from ops.exceptions import InvalidTransition, UnknownRun
from ops.models import Claim, Run
from ops.runs import lifecycle
from ops.runs.progress import read_progress
from ops.states import FINAL, TRANSITIONS, UNSUCCESSFUL, State
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    audited_changes,
    create_run,
    create_things,
    execute_run,
    is_lock_awaited,
    make_operation,
    player,
    primary_keys,
    wait_until,
)
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

FILL = make_operation(Thing.objects.filter(note=None), {"note": "x"})
S = State
STATE_PREDICATES = {
    S.QUEUED: "has not started",
    S.AWAITING_APPROVAL: "awaits approval",
    **{state: f"has already ended ({state.label})" for state in (*FINAL, *UNSUCCESSFUL)},
}


def run_in(state: State) -> Run:
    return Run.objects.create(operation="trial", as_of=timezone.now(), total=0, columns=["note"], state=state)


@pytest.mark.parametrize("origin", State)
def test_only_the_transitions_of_the_table_are_allowed(origin: State) -> None:
    for to in State:
        run = run_in(origin)
        if to in TRANSITIONS[origin]:
            lifecycle.transition(run, to)
            assert run.state == to
        else:
            with pytest.raises(InvalidTransition) as error:
                lifecycle.transition(run, to)
            message = str(error.value)
            assert message.startswith(
                f"Run {run.pk} {STATE_PREDICATES.get(origin, f'is {origin.label}')}, so "
            )
            assert message.endswith(f". To see it: manage.py runs show {run.pk}")
            run.refresh_from_db()
            assert run.state == origin


def test_the_table_is_as_designed() -> None:
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
    } == TRANSITIONS


# The state after each verb; None where it is refused.
VERBS: dict[Callable[[Run], None], dict[State, State | None]] = {
    lifecycle.pause: {S.RUNNING: S.PAUSED, S.PAUSING: S.PAUSED},
    lifecycle.cancel: {
        **dict.fromkeys((S.AWAITING_APPROVAL, S.QUEUED, S.RUNNING, S.PAUSED, S.CANCELLING), S.CANCELLED),
        S.PAUSING: S.CANCELLED,
        S.CANCELLED: S.CANCELLED,
    },
    lifecycle.requeue: {
        S.RUNNING: S.RUNNING,
        S.AWAITING_APPROVAL: None,
        **dict.fromkeys((S.QUEUED, S.PAUSING, S.PAUSED, S.FAILED), S.QUEUED),
        **dict.fromkeys((S.FINISHED_WITH_FAILURES, S.VERIFICATION_FAILED), S.QUEUED),
    },
}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("state", State)
def test_a_verb_moves_a_run_to_its_state_or_is_refused(
    declare: RegisterOperation, verb: Callable[[Run], None], state: State
) -> None:
    run = create_run(declare(FILL))
    Run.objects.update(state=state)
    run.refresh_from_db()
    if becomes := VERBS[verb].get(state):
        verb(run)
        assert (run.state, Run.objects.get().state) == (becomes, becomes)
        assert Claim.objects.exists() == (becomes != S.CANCELLED) or state == S.CANCELLED
    else:
        with pytest.raises(InvalidTransition, match=f"Run {run.pk} "):
            verb(run)


def test_an_unknown_run_is_an_error_with_the_next_command() -> None:
    with pytest.raises(UnknownRun, match=r"^There is no run 42. To list the runs: manage.py runs$"):
        lifecycle.get_run(42)


def test_a_pause_between_batches_keeps_what_was_done_and_resume_finishes(declare: RegisterOperation) -> None:
    rows = create_things(10)
    run = create_run(declare(FILL), batch_size=3)
    execute_run(run, RecordingMonitor(lambda number: number == 2 and lifecycle.pause(Run.objects.get())))
    assert (run.state, len(audited_changes(run)), run.finished_at) == ("paused", 6, None)
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"
    assert audited_changes(run).keys() == primary_keys(rows)


def test_a_stop_pauses_the_run_after_the_batch(declare: RegisterOperation) -> None:
    create_things(10)
    stop = Event()
    run = execute_run(
        create_run(declare(FILL), batch_size=3), RecordingMonitor(lambda number: stop.set()), stop
    )
    assert (run.state, len(audited_changes(run))) == ("paused", 3)


@pytest.mark.parametrize(("verb", "becomes"), [(lifecycle.pause, S.PAUSED), (lifecycle.cancel, S.CANCELLED)])
def test_a_stop_after_somebody_halted_the_run_is_no_error(
    declare: RegisterOperation, verb: Callable[[Run], None], becomes: State
) -> None:
    create_things(10)
    stop = Event()
    monitor = RecordingMonitor(lambda number: (verb(Run.objects.get()), stop.set()))
    assert execute_run(create_run(declare(FILL), batch_size=3), monitor, stop).state == becomes


def test_a_cancel_between_batches_keeps_what_was_done_and_frees_the_column(
    declare: RegisterOperation,
) -> None:
    create_things(10)
    run = create_run(declare(FILL), batch_size=3)
    execute_run(run, RecordingMonitor(lambda number: lifecycle.cancel(Run.objects.get())))
    assert (run.state, len(audited_changes(run))) == ("cancelled", 3)
    assert run.finished_at is not None
    assert not Claim.objects.exists()
    with pytest.raises(InvalidTransition, match=r"has already ended \(cancelled\)"):
        lifecycle.requeue(run)


def test_a_resumed_run_keeps_its_start_and_gets_a_new_end(declare: RegisterOperation) -> None:
    create_things(6)
    run = create_run(declare(FILL), batch_size=3)
    assert (run.started_at, run.finished_at) == (None, None)
    execute_run(run, RecordingMonitor(lambda number: lifecycle.pause(Run.objects.get())))
    started = run.started_at
    assert started is not None
    lifecycle.requeue(run)
    execute_run(run)
    assert run.started_at == started
    assert run.finished_at > started


def test_a_run_that_a_restore_paused_has_not_worked_since_its_backup(declare: RegisterOperation) -> None:
    create_things(3)
    run = create_run(declare(FILL))
    Run.objects.update(state=S.PAUSED, worked=timedelta(seconds=2), working_since=Now() - timedelta(days=1))
    lifecycle.requeue(run)
    assert (run.state, run.worked, run.working_since) == ("queued", timedelta(seconds=2), None)


@pytest.mark.engine
def test_the_time_after_a_kill_until_the_next_start_does_not_count(
    declare: RegisterOperation,
) -> None:
    create_things(3)
    run = create_run(declare(FILL))
    lifecycle.start(run)
    hour = timedelta(hours=1)
    Run.objects.update(working_since=Now() - 2 * hour)
    run.lanes.update(heartbeat_at=Now() - hour)
    lifecycle.start(run)
    run.refresh_from_db()
    assert hour <= read_progress(run).elapsed < 1.5 * hour


def test_the_time_of_a_run_in_progress_goes_on_when_a_process_joins(declare: RegisterOperation) -> None:
    create_things(3)
    run = create_run(declare(FILL))
    lifecycle.start(run)
    Run.objects.update(working_since=Now() - timedelta(hours=2))
    run.lanes.update(heartbeat_at=Now())
    lifecycle.start(run)
    run.refresh_from_db()
    assert read_progress(run).elapsed >= timedelta(hours=2)


def test_two_processes_that_start_one_queued_run_both_work_on_it(declare: RegisterOperation) -> None:
    create_things(3)
    run = create_run(declare(FILL))
    copy = Run.objects.get(pk=run.pk)
    lifecycle.start(run)
    lifecycle.start(copy)
    assert (run.state, copy.state) == ("running", "running")


@pytest.mark.engine
@pytest.mark.parametrize(
    ("act", "origin", "meanwhile", "becomes"),
    [
        (lifecycle.finish_halt, S.PAUSING, S.SUCCEEDED, S.SUCCEEDED),
        (lifecycle.finish_halt, S.CANCELLING, S.FAILED, S.FAILED),
        (lifecycle.cancel, S.QUEUED, S.RUNNING, S.CANCELLED),
    ],
)
def test_a_run_that_another_process_moves_meanwhile_is_halted_or_over(
    act: Callable[[Run], None], origin: State, meanwhile: State, becomes: State
) -> None:
    run, errors = run_in(origin), []

    def act_in_thread() -> None:
        try:
            act(run)
        except InvalidTransition as exc:
            errors.append(exc)
        finally:
            connection.close()

    thread = Thread(target=act_in_thread)
    with player() as other:
        other.execute("UPDATE ops_run SET state = %s WHERE id = %s", [meanwhile, run.pk])
        thread.start()
        wait_until(is_lock_awaited)
        other.commit()
    thread.join(timeout=30)
    assert (Run.objects.get(pk=run.pk).state, run.state, errors) == (becomes, becomes, [])


def test_a_run_whose_model_is_gone_is_cancelled_and_its_column_free(declare: RegisterOperation) -> None:
    create_things(6)
    run = create_run(declare(FILL), batch_size=2)
    execute_run(run, RecordingMonitor(lambda number: lifecycle.pause(run)))
    Run.objects.update(model="trials.gone")
    lifecycle.cancel(lifecycle.get_run(run.pk))
    assert (Run.objects.get().state, Claim.objects.count()) == (S.CANCELLED, 0)
