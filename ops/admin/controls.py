"""What a person can do to a row that moves; what to a run, and in which states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ops import registry, runs
from ops.advice import Outlook, Verb
from ops.creation import Request
from ops.models import Run
from ops.operations import Revert
from ops.outlook import look
from ops.queue.bell import ring
from ops.scope import Scope
from ops.states import HELD, State


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


def _outlook(run: Any) -> Outlook:
    """Found out once for a page, since each control asks for it."""
    if "outlook" not in vars(run):
        run.outlook = look(run)
    found: Outlook = run.outlook
    return found


def _works(verb: Verb) -> Callable[[Run], bool]:
    return lambda run: _outlook(run).works(verb)


def _can_resume(run: Run) -> bool:
    """Nobody takes a run away from the terminal that it waits for, or from those who work on it."""
    here = _outlook(run)
    return here.works(Verb.RESUME) and here.status not in (State.QUEUED, State.RUNNING, HELD)


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
    Move("pause", "pause", "Stop after the batch under way.", _works(Verb.PAUSE), _pause),
    Move("resume", "play_arrow", "Go on.", _can_resume, _resume),
    Move(
        "cancel",
        "stop",
        "End the run; what it changed stays changed.",
        _works(Verb.CANCEL),
        _cancel,
    ),
    Another("retry", "refresh", "Try the rows that failed again, and only them.", _works(Verb.RETRY), _retry),
    Another(
        "revert",
        "undo",
        "Set back what the run changed, where it still stands so.",
        _works(Verb.REVERT),
        _revert,
    ),
)
CONTROLS = {control.verb: control for control in _ALL}
