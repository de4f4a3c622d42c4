"""The buttons of a run's or an export's page: which there are, and in which states each is offered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ops.models import Decision, Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.queue.enqueue import enqueue_run
from ops.runs import lifecycle
from ops.runs.approval_policy import find_approval
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
    """``apply(row, username)`` changes the row's state at once, and returns a warning, or ""."""

    is_immediate = True
    apply: Callable[[Any, str], str]


@dataclass(frozen=True)
class NewRunControl(Control):
    """``build_request(run, username)`` describes a new run, which starts once it is confirmed.

    ``rows`` says which rows it may change, with {rows} for what they are called and {number} of the run.
    """

    is_immediate = False
    build_request: Callable[[Run, str], RunRequest]
    rows: str


def get_run_status(run: Any) -> RunStatus:
    """Cached on the row, since each control of a page needs it."""
    if "run_status" not in vars(run):
        run.run_status = read_run_status(run)
    status: RunStatus = run.run_status
    return status


def _make_verb_predicate(verb: RunAction) -> Callable[[Run], bool]:
    return lambda run: get_run_status(run).allows(verb)


def _may_resume(run: Run) -> bool:
    """Offer no resume of a run that waits for a terminal, or that a process already works on."""
    status = get_run_status(run)
    return status.allows(RunAction.RESUME) and status.status not in (State.QUEUED, State.RUNNING, HELD)


def _pause_run(run: Run, by: str) -> str:
    lifecycle.pause(run, by)
    return ""


def _resume_run(run: Run, by: str) -> str:
    """Resume on the workers, since a browser has no terminal to run it in."""
    lifecycle.requeue(run, by)
    lifecycle.assign_workers(run, run.workers or 1)
    enqueue_run(run)  # The page of the run says if no worker takes it up.
    return ""


def _cancel_run(run: Run, by: str) -> str:
    lifecycle.cancel(run, by)
    return ""


def _build_retry_request(run: Run, by: str) -> RunRequest:
    return RunRequest(registry.get_operation(run.operation), by, run.params, Scope.of_failures(run))


def _build_revert_request(run: Run, by: str) -> RunRequest:
    return RunRequest(Revert, by, {"run": run.pk})


def _may_repeat(run: Run) -> bool:
    """Offer it of a run that waited for a second person in vain."""
    if run.state != State.CANCELLED or run.started_at is not None:
        return False
    approval = find_approval(run)
    return approval is not None and approval.decision != Decision.APPROVED


def _build_same_request(run: Run, by: str) -> RunRequest:
    keys = frozenset(run.keys.values_list("object_id", flat=True)) if run.scope.get("keys") else None
    scope = replace(Scope.of_run(run), keys=keys)
    return RunRequest(registry.get_operation(run.operation), by, run.params, scope)


_RUN_CONTROLS: tuple[Control, ...] = (
    TransitionControl(
        "pause", "pause", "Stop after the current batch.", _make_verb_predicate(RunAction.PAUSE), _pause_run
    ),
    TransitionControl("resume", "play_arrow", "Continue on the workers.", _may_resume, _resume_run),
    TransitionControl(
        "cancel",
        "stop",
        "End the run. Rows that it changed stay changed.",
        _make_verb_predicate(RunAction.CANCEL),
        _cancel_run,
    ),
    NewRunControl(
        "retry",
        "refresh",
        "Try only the failed rows again, in a new run.",
        _make_verb_predicate(RunAction.RETRY),
        _build_retry_request,
        "the {rows} that failed in run {number}",
    ),
    NewRunControl(
        "revert",
        "undo",
        "Restore the old values in a new run. Rows changed after this run stay as they are.",
        _make_verb_predicate(RunAction.REVERT),
        _build_revert_request,
        "the {rows} that run {number} changed",
    ),
    NewRunControl(
        "repeat",
        "replay",
        "Ask for the same once more, in a new run.",
        _may_repeat,
        _build_same_request,
        "those that run {number} was asked for",
    ),
)
RUN_CONTROLS = {control.verb: control for control in _RUN_CONTROLS}
