"""What a person can do to a row that moves; what to a run, and in which states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ops import registry, runs
from ops.creation import Request
from ops.models import Run
from ops.operations import Revert
from ops.progress import progress_of
from ops.queue.bell import ring
from ops.scope import Scope
from ops.states import AT_WORK, MOVES, State


@dataclass(frozen=True)
class Control:
    verb: str
    icon: str
    told: str
    possible: Callable[[Any], bool]
    at_once: ClassVar[bool]


@dataclass(frozen=True)
class Move(Control):
    """``act`` moves the row for somebody, and returns a warning, or ""."""

    at_once = True
    act: Callable[[Any, str], str]


@dataclass(frozen=True)
class Another(Control):
    """``propose`` asks for another run, which is confirmed before it starts."""

    at_once = False
    propose: Callable[[Run, str], Request]


def _can_become(*states: State) -> Callable[[Run], bool]:
    return lambda run: any(state in MOVES[State(run.state)] for state in states)


def _can_resume(run: Run) -> bool:
    return run.state in (State.PAUSED, State.FAILED, State.VERIFICATION_FAILED)


def _has_failed_rows(run: Run) -> bool:
    return run.state not in AT_WORK and run.failures.exists()


def _has_changed_rows(run: Run) -> bool:
    return run.state not in (*AT_WORK, State.QUEUED) and progress_of(run).changed > 0


def _pause(run: Run, by: str) -> str:
    runs.pause(run, by)
    return ""


def _resume(run: Run, by: str) -> str:
    """Go on, on the workers: no terminal is at hand here."""
    runs.requeue(run, by)
    runs.entrust(run, run.workers or 1)
    return ring(run)


def _cancel(run: Run, by: str) -> str:
    runs.cancel(run, by)
    return ""


def _retry(run: Run, by: str) -> Request:
    return Request(registry.get(run.operation), by, run.params, Scope.of_failures(run))


def _revert(run: Run, by: str) -> Request:
    return Request(Revert, by, {"run": run.pk})


_ALL: tuple[Control, ...] = (
    Move("pause", "pause", "Stop after the batch under way.", _can_become(State.PAUSING), _pause),
    Move("resume", "play_arrow", "Go on.", _can_resume, _resume),
    Move(
        "cancel",
        "stop",
        "End the run; what it changed stays changed.",
        _can_become(State.CANCELLING, State.CANCELLED),
        _cancel,
    ),
    Another("retry", "refresh", "Try the rows that failed again, and only them.", _has_failed_rows, _retry),
    Another(
        "revert",
        "undo",
        "Set back what the run changed, where it still stands so.",
        _has_changed_rows,
        _revert,
    ),
)
CONTROLS = {control.verb: control for control in _ALL}
