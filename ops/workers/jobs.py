"""The job of a run: advance it for a slice of time, then enqueue the next job."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import Error
from redis import RedisError

from ops.engine.batch_size import BatchSize
from ops.engine.loop import run_batches
from ops.exceptions import DatabaseUnavailable, InvalidTransition, OpsError, RunLost, UnknownRun
from ops.interrupts import Deadline
from ops.models import Run
from ops.queue.enqueue import enqueue_run, enqueue_run_unchecked
from ops.queue.liveness import connect_queue, count_running_jobs
from ops.retries import Backoff, is_unavailable
from ops.runs import lifecycle
from ops.runs.lifecycle import refresh_run
from ops.states import State

log = logging.getLogger(__name__)

_RUNNABLE_STATES = (State.QUEUED, State.RUNNING)


def advance(run: int) -> None:
    """Work on the run for at most ``RUN_SLICE`` seconds, then enqueue a job for what is left.

    Several jobs may work on one run, and a job with nothing to do ends at once. An error that fails the run
    is raised after the run is marked as failed. While the database is unavailable, the job waits for it.
    """
    stop = Deadline(timedelta(seconds=settings.RUN_SLICE))
    backoff = Backoff(stop)
    try:
        while not _advance_once(run, stop, backoff):
            pass
    except DatabaseUnavailable as exc:
        log.warning("run %s: the database is unavailable: %s", run, exc)
        enqueue_run_unchecked(run)


def _advance_once(number: int, stop: Deadline, backoff: Backoff) -> bool:
    """Return False to try again, after the database was unavailable."""
    try:
        run = lifecycle.get_run(number)
        if _is_for_workers(run):
            _execute_slice(run, stop)
        if _is_for_workers(run):
            _requeue_job(run)
    except UnknownRun:
        pass
    except RunLost as exc:
        log.warning("%s", exc)
    except Error as exc:
        if not is_unavailable(exc):
            raise
        backoff.wait(exc)
        return False
    return True


def _is_for_workers(run: Run) -> bool:
    return run.workers is not None and run.state in _RUNNABLE_STATES


def _execute_slice(run: Run, stop: Deadline) -> None:
    with suppress(InvalidTransition):  # The run has just been halted or ended.
        try:
            run_batches(run, NullListener(), stop, leave_running_on_stop=True)
        except OpsError as exc:
            if (
                isinstance(exc, (DatabaseUnavailable, InvalidTransition, RunLost))
                or run.state not in _RUNNABLE_STATES
            ):
                raise
            # Its operation was changed or removed: no worker could advance it, so fail it.
            lifecycle.start(run)
            lifecycle.fail(run, exc.reason or str(exc), exc.code)


def _requeue_job(run: Run) -> None:
    refresh_run(run)
    try:
        others = count_running_jobs(run.pk, connect_queue()) - 1
    except RedisError:
        others = 0
    enqueue_run(run, at_work=max(0, others))


class NullListener:
    """Reports nothing: on a worker nobody watches the run."""

    def on_batch(self, run: Run, size: BatchSize) -> None:
        pass

    def on_retry(self, reason: str) -> None:
        log.warning("waiting: %s", reason)

    def on_hold(self, run: Run) -> None:
        pass

    def on_note(self, message: str) -> None:
        log.warning("%s", message)
