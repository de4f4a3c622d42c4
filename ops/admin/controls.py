"""What a person can do to a row that moves; what to a run, and in which states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ops.models import Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.queue.enqueue import enqueue_run
from ops.runs import lifecycle
from ops.runs.creation import RunRequest
from ops.runs.next_steps import RunAction, RunStatus
from ops.runs.status import read_run_status
from ops.states import HELD, State


@dataclass(frozen=True)
class Control:
    verb: str
    icon: str
    help_text: str
    is_available: Callable[[Any], bool]
    is_immediate: ClassVar[bool]


@dataclass(frozen=True)
class TransitionControl(Control):
    """``apply`` moves the row for somebody, and returns a warning, or ""."""

    is_immediate = True
    apply: Callable[[Any, str], str]


@dataclass(frozen=True)
class NewRunControl(Control):
    """``build_request`` asks for another run, which is confirmed before it starts."""

    is_immediate = False
    build_request: Callable[[Run, str], RunRequest]


def _get_status(run: Any) -> RunStatus:
    """Found out once for a page, since each control asks for it."""
    if "run_status" not in vars(run):
        run.run_status = read_run_status(run)
    found: RunStatus = run.run_status
    return found


def _make_verb_predicate(verb: RunAction) -> Callable[[Run], bool]:
    return lambda run: _get_status(run).allows(verb)


def _may_resume(run: Run) -> bool:
    """Nobody takes a run away from the terminal that it waits for, or from those who work on it."""
    here = _get_status(run)
    return here.allows(RunAction.RESUME) and here.status not in (State.QUEUED, State.RUNNING, HELD)


def _pause_run(run: Run, by: str) -> str:
    lifecycle.pause(run, by)
    return ""


def _resume_run(run: Run, by: str) -> str:
    """Go on, on the workers: no terminal is at hand here."""
    lifecycle.requeue(run, by)
    lifecycle.assign_workers(run, run.workers or 1)
    return enqueue_run(run)


def _cancel_run(run: Run, by: str) -> str:
    lifecycle.cancel(run, by)
    return ""


def _build_retry_request(run: Run, by: str) -> RunRequest:
    return RunRequest(registry.get_operation(run.operation), by, run.params, Scope.of_failures(run))


def _build_revert_request(run: Run, by: str) -> RunRequest:
    return RunRequest(Revert, by, {"run": run.pk})


_RUN_CONTROLS: tuple[Control, ...] = (
    TransitionControl(
        "pause", "pause", "Stop after the batch under way.", _make_verb_predicate(RunAction.PAUSE), _pause_run
    ),
    TransitionControl("resume", "play_arrow", "Go on.", _may_resume, _resume_run),
    TransitionControl(
        "cancel",
        "stop",
        "End the run; what it changed stays changed.",
        _make_verb_predicate(RunAction.CANCEL),
        _cancel_run,
    ),
    NewRunControl(
        "retry",
        "refresh",
        "Try the rows that failed again, and only them.",
        _make_verb_predicate(RunAction.RETRY),
        _build_retry_request,
    ),
    NewRunControl(
        "revert",
        "undo",
        "Set back what the run changed, where it still stands so.",
        _make_verb_predicate(RunAction.REVERT),
        _build_revert_request,
    ),
)
RUN_CONTROLS = {control.verb: control for control in _RUN_CONTROLS}
