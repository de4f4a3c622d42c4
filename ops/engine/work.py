"""The loop: a process that works on a run until it ends, is halted, or is asked to stop."""

from __future__ import annotations

import logging
from datetime import timedelta
from threading import Event
from typing import Protocol

from django.db import Error

from ops import runs
from ops.engine.batch import Batches
from ops.engine.lane import Halted
from ops.engine.pace import Pace
from ops.engine.settle import settle
from ops.engine.size import CEILING, TARGET, BatchSize
from ops.events import process, tell
from ops.exceptions import Held, IllegalMove, OpsError
from ops.health.health import Health
from ops.health.hold import is_held, wait
from ops.models import Run
from ops.patience import LIMIT, Patience, is_away, is_transient
from ops.scope import Scope
from ops.sqlstates import sqlstate
from ops.states import AT_WORK, State

# Others hold the lanes that are left: look again soon, since one of them may die.
_ASIDE = timedelta(milliseconds=100)
# Between sweeps, and longer each time.
SWEEP_PAUSE = timedelta(milliseconds=200)
# Rows in process() are not locked, so nobody waits for them; what waits is a pause.
_PROCESS_TARGET = timedelta(seconds=1)


class Watcher(Protocol):
    def batch(self, run: Run, size: BatchSize) -> None:
        """Told after every batch."""

    def waiting(self, reason: str) -> None:
        """Told when the work must wait, and why."""

    def held(self, run: Run) -> None:
        """Told again and again while the run is held, until when and why."""

    def note(self, words: str) -> None:
        """Told what else there is to know."""


def work(
    run: Run, watcher: Watcher, stop: Event, patience: timedelta = LIMIT, *, leave: bool = False
) -> State:
    """Work on the run until it leaves ``running``; asked to stop, finish the batch and pause the run.

    With ``leave``, asked to stop, finish the batch and leave the run to others. Any number of processes may
    do this to one run. An error that is no row's fault fails the run and is raised; the run can then be
    resumed. Raises DatabaseAway, the run standing where it stood, when the database does not come back
    within ``patience``.
    """
    worker = Worker(run, watcher, stop)
    waits = Patience(stop, patience)
    runs.start(run)
    with worker.health:
        while run.state in AT_WORK:
            stopped = stop.is_set()  # once a turn, since a slice ends by the clock
            if stopped and leave:
                break
            try:
                worker.pause() if stopped else worker.step()
                waits.renew()
            except Error as exc:
                if not is_transient(exc):
                    _fail(run, exc)
                    raise
                if is_away(exc) and waits.since is None:
                    tell(run, "waiting", logging.WARNING, reason=str(exc).strip(), process=process())
                watcher.waiting(str(exc).strip())
                try:
                    waits.wait(exc)
                except Error:
                    _fail(run, exc)
                    raise
            except Exception as exc:
                _fail(run, exc)
                raise
    return State(run.state)


class Worker:
    """Works on one run, step by step."""

    def __init__(self, run: Run, watcher: Watcher, stop: Event) -> None:
        operation, scope = runs.operation_of(run), Scope.of_run(run)
        target = _PROCESS_TARGET if operation.is_per_row() else TARGET
        self.run, self.watcher, self.stop = run, watcher, stop
        self.pace = Pace(run, stop)
        size = BatchSize(pinned=run.batch_size, target=target, ceiling=self.pace.burst or CEILING)
        self.batches = Batches(run, operation, scope, size)
        self.health, self.asked = Health(run), False

    def step(self) -> None:
        """One batch, or whatever else the run needs next."""
        for words in self.health.notes():
            self.watcher.note(words)
        try:
            changed = self._advance()
        except Halted:
            runs.complete_halt(self.run)
            return
        except Held:
            self._wait_out()
            return
        if changed is not None:
            self.watcher.batch(self.run, self.batches.size)
            self.pace.rest(changed)
        elif self.run.lanes.filter(finished=False).exists():
            self.stop.wait(_ASIDE.total_seconds())
        else:
            swept = self.run.sweep
            settle(self.run, self.batches.operation, self.batches.scope)
            if self.run.sweep > swept:  # Who held rows a moment ago may let go of them.
                self.stop.wait(swept * SWEEP_PAUSE.total_seconds())

    def pause(self) -> None:
        try:
            runs.pause(self.run)
        except IllegalMove:  # Somebody else has halted the run, or ended it.
            runs.complete_halt(self.run)

    def _advance(self) -> int | None:
        """One batch; the first one, and the first after a hold, not before the health is asked after."""
        if not self.asked:
            self.health.ask()
            self.asked = True
        return self.batches.advance()

    def _wait_out(self) -> None:
        """Wait while the run is held and nobody asks it to stop."""
        self.asked = False
        while is_held(self.run) and not self.stop.is_set():
            self.watcher.held(self.run)
            wait(self.run, self.stop)


def _fail(run: Run, error: Exception) -> None:
    told = error.reason if isinstance(error, OpsError) else str(error)
    runs.fail(run, f"{type(error).__name__}: {told}".strip(), sqlstate(error) or type(error).__name__)
