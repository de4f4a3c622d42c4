"""The one job: advance a run for a slice of time, and put itself back."""

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
    """Work on the run for ``RUN_SLICE`` seconds at most; then, where more is left, put a job for it back.

    Harmless beside its own twin, and quick where there is nothing to do. An error that fails the run is
    raised when that is written. While the database is unavailable, it waits for it, slice by slice.
    """
    stop = Deadline(timedelta(seconds=settings.RUN_SLICE))
    waits = Backoff(stop)
    try:
        while not _advance_once(run, stop, waits):
            pass
    except DatabaseUnavailable as exc:
        log.warning("run %s: the database is unavailable: %s", run, exc)
        enqueue_run_unchecked(run)


def _advance_once(number: int, stop: Deadline, waits: Backoff) -> bool:
    """Whether it came to its end; False when the database was away, and may be back."""
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
        waits.wait(exc)
        return False
    return True


def _is_for_workers(run: Run) -> bool:
    return run.workers is not None and run.state in _RUNNABLE_STATES


def _execute_slice(run: Run, stop: Deadline) -> None:
    with suppress(InvalidTransition):  # Somebody has halted the run, or ended it, in the same moment.
        try:
            run_batches(run, NullListener(), stop, leave=True)
        except OpsError as exc:
            if (
                isinstance(exc, (DatabaseUnavailable, InvalidTransition, RunLost))
                or run.state not in _RUNNABLE_STATES
            ):
                raise
            # Nobody can go on with it: its operation was changed or removed, and nobody looks on.
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
    """Watches for nobody: whoever wants to see the run reads the database."""

    def batch(self, run: Run, size: BatchSize) -> None:
        pass

    def waiting(self, reason: str) -> None:
        log.warning("waiting: %s", reason)

    def held(self, run: Run) -> None:
        pass

    def note(self, words: str) -> None:
        log.warning("%s", words)
