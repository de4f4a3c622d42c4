"""The loop: a process that works on a run until it ends, is halted, or is asked to stop."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from typing import Protocol

from ops import runs
from ops.engine.batch import Batches, Halted
from ops.engine.settle import settle
from ops.engine.size import TARGET, BatchSize
from ops.models import Run
from ops.scope import Scope
from ops.states import State

# Others hold the lanes that are left: look again soon, since one of them may die.
_ASIDE = timedelta(milliseconds=100)
# Rows in process() are not locked, so nobody waits for them; what waits is a pause.
_PROCESS_TARGET = timedelta(seconds=1)


class Watcher(Protocol):
    """Told after every batch."""

    def batch(self, run: Run, size: BatchSize) -> None: ...


def work(run: Run, watcher: Watcher, stop: Event) -> State:
    """Work on the run until it leaves ``running``; asked to stop, finish the batch and pause the run.

    Any number of processes may do this to one run. An error that is no row's fault fails the run and is
    raised; the run can then be resumed.
    """
    operation = runs.operation_of(run)
    scope = Scope.of_run(run)
    runs.start(run)
    target = _PROCESS_TARGET if operation.is_per_row() else TARGET
    batches = Batches(run, operation, scope, BatchSize(pinned=run.batch_size, target=target))
    try:
        while run.state == State.RUNNING:
            if stop.is_set():
                runs.pause(run)
            elif batches.advance():
                watcher.batch(run, batches.size)
            elif run.lanes.filter(finished=False).exists():
                stop.wait(_ASIDE.total_seconds())
            else:
                settle(run, operation, scope)
    except Halted:
        runs.complete_halt(run)
    except Exception as exc:
        _fail(run, exc)
        raise
    return State(run.state)


def _fail(run: Run, error: Exception) -> None:
    run.refresh_from_db()
    if run.state in (State.RUNNING, State.PAUSING, State.CANCELLING):
        runs.end(run, State.FAILED, error=f"{type(error).__name__}: {error}".strip())
