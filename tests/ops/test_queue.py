"""Runs on the queue: jobs, slices, and the reaper."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
import redis
from django.db import transaction
from django.db.models.functions import Now
from rq import Queue

from ops.engine.loop import run_batches
from ops.interrupts import Deadline
from ops.models import Lane, Run
from ops.queue.enqueue import enqueue_run
from ops.queue.liveness import connect_queue
from ops.runs import creation, lifecycle
from ops.runs.creation import RunRequest
from ops.states import State
from ops.workers.jobs import _execute_slice, advance
from ops.workers.reaper import reap
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    audited_changes,
    create_run,
    create_things,
    make_operation,
    primary_keys,
    run_jobs,
)
from tests.trials.models import Thing
from tests.trials.operations import Annotate, SetScore

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queue(redis_server: "redis.Redis") -> Queue:
    return connect_queue()


@pytest.fixture
def no_redis(settings: Any) -> None:
    settings.RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:9/0"}}


def create_worker_run(workers: int | None = 1, **options: Any) -> Run:
    return creation.create_run(RunRequest(Annotate, "tester", workers=workers, **options))


def test_there_is_a_job_for_each_worker_with_only_the_runs_number(queue: Queue) -> None:
    create_things(10)
    run = create_worker_run(3)
    enqueue_run(run)
    assert [(job.args, job.kwargs) for job in queue.get_jobs()] == [((run.pk,), {})] * 3


def test_enqueueing_twice_adds_no_job(queue: Queue) -> None:
    create_things(10)
    run = create_worker_run(2)
    enqueue_run(run)
    enqueue_run(run)
    enqueue_run(run, at_work=1)
    assert len(queue) == 2


def test_there_are_no_more_jobs_than_unfinished_lanes(queue: Queue) -> None:
    create_things(10)
    run = create_worker_run(3, lanes=4)
    assert run.lanes.count() == 4
    run.lanes.filter(number__gt=2).update(finished=True)
    enqueue_run(run)
    assert len(queue) == 2


@pytest.mark.parametrize("commits", [True, False])
def test_jobs_are_enqueued_only_when_the_transaction_commits(queue: Queue, commits: bool) -> None:
    create_things(1)
    with transaction.atomic():
        enqueue_run(create_worker_run())
        assert len(queue) == 0
        transaction.set_rollback(not commits)
    assert len(queue) == commits


def test_without_redis_enqueueing_returns_a_warning(no_redis: None) -> None:
    create_things(1)
    warning = enqueue_run(create_worker_run())
    assert warning.startswith("Redis is unavailable")
    assert warning.endswith("work continues when Redis is back.")


def test_without_a_worker_enqueueing_returns_a_warning(queue: Queue) -> None:
    create_things(1)
    assert "No worker is alive" in enqueue_run(create_worker_run())
    assert len(queue) == 1


def test_slices_change_every_row_once(queue: Queue, settings: Any) -> None:
    settings.RUN_SLICE = 0.02
    rows = create_things(60)
    run = create_worker_run(2, batch_size=1)
    enqueue_run(run)
    assert run_jobs(queue) > 2
    run.refresh_from_db()
    assert run.state == State.SUCCEEDED
    assert audited_changes(run).keys() == primary_keys(rows)


def test_a_slice_that_ends_before_a_batch_pauses_nothing() -> None:
    class EndsThen(Event):
        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 1

    rows = create_things(3)
    run = create_worker_run()
    assert run_batches(run, RecordingMonitor(), EndsThen(), leave_running_on_stop=True) == State.RUNNING
    assert audited_changes(run).keys() == primary_keys(rows)


def pause_run(run: Run) -> None:
    lifecycle.start(run)
    lifecycle.pause(run)


def cancel_run(run: Run) -> None:
    lifecycle.cancel(run)


@pytest.mark.parametrize("then", [pause_run, cancel_run, Run.delete])
def test_a_job_of_a_halted_or_deleted_run_does_nothing(queue: Queue, then: Callable[[Run], Any]) -> None:
    create_things(3)
    run = create_worker_run()
    number = run.pk
    then(run)
    advance(number)
    assert not Thing.objects.exclude(note=None).exists()
    assert len(queue) == 0


def test_a_job_whose_run_has_just_been_cancelled_ends(queue: Queue) -> None:
    create_things(3)
    run = create_worker_run()
    stale = lifecycle.get_run(run.pk)
    lifecycle.cancel(run)
    _execute_slice(stale, Deadline(timedelta(minutes=1)))
    assert stale.state == State.CANCELLED
    assert not Thing.objects.exclude(note=None).exists()


def test_workers_leave_a_run_of_a_terminal_alone(queue: Queue) -> None:
    create_things(3)
    run = create_worker_run(None)
    advance(run.pk)
    run.refresh_from_db()
    assert run.state == State.QUEUED
    reap()
    assert len(queue) == 0


def test_a_run_whose_operation_changed_fails(queue: Queue, declare: RegisterOperation) -> None:
    create_things(1)
    declare(make_operation(Thing.objects.filter(note=None), {"note": "a"}))
    run = create_run(make_operation(Thing.objects.filter(note=None), {"note": "b"}), workers=1)
    advance(run.pk)
    run.refresh_from_db()
    assert run.state == State.FAILED
    assert f"The code of trial changed after run {run.pk} began" in run.error
    assert not run.claims.exists()


def test_an_error_fails_the_run_and_the_job(queue: Queue, declare: RegisterOperation) -> None:
    create_things(1)

    def fails(self: Any, rows: Any) -> Any:
        raise ConnectionError("the renderer is away")

    run = create_run(
        declare(make_operation(Thing.objects.filter(note=None), process=fails, columns=["note"])), workers=1
    )
    with pytest.raises(ConnectionError):
        advance(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == (State.FAILED, "ConnectionError: the renderer is away")
    assert len(queue) == 0


def test_the_reaper_enqueues_again_what_redis_lost(queue: Queue) -> None:
    create_things(10)
    fresh = create_worker_run()
    under_way = creation.create_run(RunRequest(SetScore, "tester", {"score": 5}, workers=2))
    lifecycle.start(under_way)
    enqueue_run(fresh)
    enqueue_run(under_way)
    queue.connection.flushdb()
    reap()
    reap()
    assert sorted(job.args[0] for job in queue.get_jobs()) == [fresh.pk, under_way.pk, under_way.pk]


def test_the_reaper_enqueues_nothing_for_lanes_with_a_heartbeat(queue: Queue) -> None:
    create_things(10)
    run = create_worker_run(2)
    lifecycle.start(run)
    run.lanes.update(heartbeat_at=Now())
    reap()
    assert len(queue) == 0
    Lane.objects.filter(run=run, number=1).update(finished=True, heartbeat_at=None)
    reap()
    assert len(queue) == 0


@pytest.mark.parametrize(
    ("halting", "halted"), [(State.PAUSING, State.PAUSED), (State.CANCELLING, State.CANCELLED)]
)
@pytest.mark.parametrize("workers", [None, 1])
def test_the_reaper_finishes_a_halt_whose_process_died(
    queue: Queue, halting: State, halted: State, workers: int | None
) -> None:
    create_things(1)
    run = create_worker_run(workers)
    lifecycle.start(run)
    lifecycle.transition(run, halting)
    reap()
    run.refresh_from_db()
    assert run.state == halted
