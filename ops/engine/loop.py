"""The loop of a process that works on a run until it ends, is halted, or is asked to stop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from typing import Protocol

from django.db import Error

from ops.engine.batch import BatchExecutor
from ops.engine.batch_size import MAX_ROWS, TARGET_DURATION, BatchSize
from ops.engine.finish import finish_or_resweep
from ops.engine.lane import RunHalted
from ops.engine.throttle import RateLimiter
from ops.events import log_event, process_name
from ops.exceptions import InvalidTransition, OpsError, RunHeld, get_error_code
from ops.health.hold import is_held, wait_during_hold
from ops.health.monitor import HealthMonitor
from ops.models import Run
from ops.operations.scope import Scope
from ops.retries import RETRY_TIMEOUT, Backoff, is_transient, is_unavailable
from ops.runs import lifecycle
from ops.runs.rebuild import rebuild_operation
from ops.sqlstates import sqlstate
from ops.states import IN_PROGRESS, State

# The lanes that are left are locked by other processes: look again soon, since one of them may die.
_LANE_POLL_INTERVAL = timedelta(milliseconds=100)
# Before the second sweep; longer before each further one.
SWEEP_DELAY = timedelta(milliseconds=200)
# Rows in process() are not locked, so no player waits for them; but a pause waits for the batch.
_PROCESS_TARGET_DURATION = timedelta(seconds=1)


class ProgressListener(Protocol):
    """Reports the progress of a run: to a terminal, to a log, or not at all."""

    def on_batch(self, run: Run, size: BatchSize) -> None:
        """Called after every batch."""

    def on_retry(self, reason: str) -> None:
        """Called when the database is unavailable, or a transaction must be retried."""

    def on_hold(self, run: Run) -> None:
        """Called repeatedly while the run is held; the run says until when, and why."""

    def on_note(self, message: str) -> None:
        """Called with a message for the operator."""


def run_batches(
    run: Run,
    listener: ProgressListener,
    stop: Event,
    timeout: timedelta = RETRY_TIMEOUT,
    *,
    leave_running_on_stop: bool = False,
) -> State:
    """Work on the run until it is no longer running; return its state.

    When ``stop`` is set, finish the batch and pause the run; with ``leave_running_on_stop``, leave it running
    for other processes. Any number of processes may work on one run. An error not caused by a row's data or
    locks fails the run and is raised; the run can then be resumed. Raises DatabaseUnavailable, and leaves the
    run as it is, if the database does not come back within ``timeout``.
    """
    executor = RunExecutor(run, listener, stop)
    backoff = Backoff(stop, timeout)
    lifecycle.start(run)
    with executor.health:
        while run.state in IN_PROGRESS:
            is_stopped = stop.is_set()  # once a turn, since a Deadline is set by the clock
            if is_stopped and leave_running_on_stop:
                break
            try:
                executor.pause() if is_stopped else executor.run_once()
                backoff.reset()
            except Error as exc:
                if not is_transient(exc):
                    _fail_run(run, exc)
                    raise
                _report_retry(run, listener, exc, is_first=backoff.failing_since is None)
                try:
                    backoff.wait(exc)
                except Error:
                    _fail_run(run, exc)
                    raise
            except Exception as exc:
                _fail_run(run, exc)
                raise
    return State(run.state)


class RunExecutor:
    """Work on one run, one batch at a time."""

    def __init__(self, run: Run, listener: ProgressListener, stop: Event) -> None:
        operation, scope = rebuild_operation(run), Scope.of_run(run)
        target = _PROCESS_TARGET_DURATION if operation.is_per_row() else TARGET_DURATION
        self.run, self.listener, self.stop = run, listener, stop
        self.rate_limiter = RateLimiter(run, stop)
        size = BatchSize(
            fixed_rows=run.batch_size, target_duration=target, max_rows=self.rate_limiter.burst or MAX_ROWS
        )
        self.batches = BatchExecutor(run, operation, scope, size)
        self.health, self.is_health_checked = HealthMonitor(run), False
        self.preparation: Iterator[int] | None = None

    def run_once(self) -> None:
        """Execute one batch, or end a sweep, a halt or a hold."""
        for message in self.health.drain_notes():
            self.listener.on_note(message)
        try:
            changed = self._execute_after_health_check()
        except RunHalted:
            lifecycle.finish_halt(self.run)
            return
        except RunHeld:
            self._wait_while_held()
            return
        if changed is not None:
            self.listener.on_batch(self.run, self.batches.size)
            self.rate_limiter.throttle(changed)
        elif self.run.lanes.filter(finished=False).exists():
            self.stop.wait(_LANE_POLL_INTERVAL.total_seconds())
        else:
            sweep = self.run.sweep
            finish_or_resweep(self.run, self.batches.operation, self.batches.scope)
            if self.run.sweep > sweep:  # Locked rows may be released meanwhile.
                self.stop.wait(sweep * SWEEP_DELAY.total_seconds())

    def pause(self) -> None:
        """Pause the run, or complete what another process asked for."""
        try:
            lifecycle.pause(self.run)
        except InvalidTransition:  # Another process has halted or ended the run.
            lifecycle.finish_halt(self.run)

    def _execute_after_health_check(self) -> int | None:
        """Execute one batch; check the health before the first one, and before the first after a hold.

        Before the first one of this process, execute the steps in which the operation prepares the run.
        """
        if not self.is_health_checked:
            self.health.check()
            self.is_health_checked = True
        written = self._prepare()
        return self.batches.execute_batch() if written is None else written

    def _prepare(self) -> int | None:
        """Execute the next step of the preparation; return None after the last. Raises RunHeld."""
        if self.preparation is None:
            self.preparation = self.batches.operation.prepare(self.run)
        try:
            written = next(self.preparation, None)
        except BaseException:
            self.preparation = None  # to begin again
            raise
        if written is not None and is_held(self.run):
            raise RunHeld
        return written

    def _wait_while_held(self) -> None:
        """Wait while the run is held, or until ``stop`` is set."""
        self.is_health_checked = False
        while is_held(self.run) and not self.stop.is_set():
            self.listener.on_hold(self.run)
            wait_during_hold(self.run, self.stop)


def _report_retry(run: Run, listener: ProgressListener, error: Error, *, is_first: bool) -> None:
    reason = str(error).strip()
    if is_first and is_unavailable(error):
        log_event(run, "waiting", logging.WARNING, reason=reason, process=process_name())
    listener.on_retry(reason)


def _fail_run(run: Run, error: Exception) -> None:
    message = error.reason if isinstance(error, OpsError) else str(error)
    code = get_error_code(error)
    lifecycle.fail(run, f"{code}: {message}".strip(), sqlstate(error) or code)
