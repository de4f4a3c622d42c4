"""The loop: a process that works on a run until it ends, is halted, or is asked to stop."""

from __future__ import annotations

import logging
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

# Others hold the lanes that are left: look again soon, since one of them may die.
_LANE_POLL_INTERVAL = timedelta(milliseconds=100)
# Between sweeps, and longer each time.
SWEEP_DELAY = timedelta(milliseconds=200)
# Rows in process() are not locked, so nobody waits for them; what waits is a pause.
_PROCESS_TARGET_DURATION = timedelta(seconds=1)


class ProgressListener(Protocol):
    def batch(self, run: Run, size: BatchSize) -> None:
        """Told after every batch."""

    def waiting(self, reason: str) -> None:
        """Told when the work must wait, and why."""

    def held(self, run: Run) -> None:
        """Told again and again while the run is held, until when and why."""

    def note(self, words: str) -> None:
        """Told what else there is to know."""


def run_batches(
    run: Run,
    watcher: ProgressListener,
    stop: Event,
    patience: timedelta = RETRY_TIMEOUT,
    *,
    leave: bool = False,
) -> State:
    """Work on the run until it leaves ``running``; asked to stop, finish the batch and pause the run.

    With ``leave``, asked to stop, finish the batch and leave the run to others. Any number of processes may
    do this to one run. An error that is no row's fault fails the run and is raised; the run can then be
    resumed. Raises DatabaseUnavailable, the run standing where it stood, when the database does not come back
    within ``patience``.
    """
    worker = RunExecutor(run, watcher, stop)
    waits = Backoff(stop, patience)
    lifecycle.start(run)
    with worker.health:
        while run.state in IN_PROGRESS:
            stopped = stop.is_set()  # once a turn, since a slice ends by the clock
            if stopped and leave:
                break
            try:
                worker.pause() if stopped else worker.step()
                waits.reset()
            except Error as exc:
                if not is_transient(exc):
                    _fail_run(run, exc)
                    raise
                if is_unavailable(exc) and waits.failing_since is None:
                    log_event(
                        run, "waiting", logging.WARNING, reason=str(exc).strip(), process=process_name()
                    )
                watcher.waiting(str(exc).strip())
                try:
                    waits.wait(exc)
                except Error:
                    _fail_run(run, exc)
                    raise
            except Exception as exc:
                _fail_run(run, exc)
                raise
    return State(run.state)


class RunExecutor:
    """Works on one run, step by step."""

    def __init__(self, run: Run, watcher: ProgressListener, stop: Event) -> None:
        operation, scope = rebuild_operation(run), Scope.of_run(run)
        target = _PROCESS_TARGET_DURATION if operation.is_per_row() else TARGET_DURATION
        self.run, self.listener, self.stop = run, watcher, stop
        self.rate_limiter = RateLimiter(run, stop)
        size = BatchSize(
            fixed_rows=run.batch_size, target_duration=target, max_rows=self.rate_limiter.burst or MAX_ROWS
        )
        self.batches = BatchExecutor(run, operation, scope, size)
        self.health, self.is_health_checked = HealthMonitor(run), False

    def step(self) -> None:
        """One batch, or whatever else the run needs next."""
        for words in self.health.drain_notes():
            self.listener.note(words)
        try:
            changed = self._advance()
        except RunHalted:
            lifecycle.finish_halt(self.run)
            return
        except RunHeld:
            self._wait_while_held()
            return
        if changed is not None:
            self.listener.batch(self.run, self.batches.size)
            self.rate_limiter.throttle(changed)
        elif self.run.lanes.filter(finished=False).exists():
            self.stop.wait(_LANE_POLL_INTERVAL.total_seconds())
        else:
            swept = self.run.sweep
            finish_or_resweep(self.run, self.batches.operation, self.batches.scope)
            if self.run.sweep > swept:  # Who held rows a moment ago may let go of them.
                self.stop.wait(swept * SWEEP_DELAY.total_seconds())

    def pause(self) -> None:
        try:
            lifecycle.pause(self.run)
        except InvalidTransition:  # Somebody else has halted the run, or ended it.
            lifecycle.finish_halt(self.run)

    def _advance(self) -> int | None:
        """One batch; the first one, and the first after a hold, not before the health is asked after."""
        if not self.is_health_checked:
            self.health.check()
            self.is_health_checked = True
        return self.batches.advance()

    def _wait_while_held(self) -> None:
        """Wait while the run is held and nobody asks it to stop."""
        self.is_health_checked = False
        while is_held(self.run) and not self.stop.is_set():
            self.listener.held(self.run)
            wait_during_hold(self.run, self.stop)


def _fail_run(run: Run, error: Exception) -> None:
    message = error.reason if isinstance(error, OpsError) else str(error)
    code = get_error_code(error)
    lifecycle.fail(run, f"{code}: {message}".strip(), sqlstate(error) or code)
