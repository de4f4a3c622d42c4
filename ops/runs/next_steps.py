"""The next steps of a run: which actions its status allows, and the commands for them.

Every message that suggests a command takes it from here, so that none suggests one that would be refused: a
test types each of them. `ops.runs.status` reads the status of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ops.command_lines import manage_command
from ops.exceptions import AllRowsFailed, InvalidDeclaration, NonTerminating, TooManyFailures
from ops.models import Run
from ops.operations.revert import Revert
from ops.states import FINAL, HELD, STALLED, State


class RunAction(StrEnum):
    """What can be typed after ``manage.py runs``."""

    SHOW = "show"
    WATCH = "watch"
    RESUME = "resume"
    PAUSE = "pause"
    CANCEL = "cancel"
    RETRY = "retry"
    REVERT = "revert"
    FAILURES = "failures"
    CONFLICTS = "conflicts"


# The actions that each status allows, the most usual first. All of them allow SHOW.
ALLOWED_ACTIONS: dict[str, tuple[RunAction, ...]] = {
    State.AWAITING_APPROVAL: (RunAction.CANCEL,),
    State.QUEUED: (RunAction.RESUME, RunAction.WATCH, RunAction.CANCEL),
    State.RUNNING: (RunAction.RESUME, RunAction.WATCH, RunAction.PAUSE, RunAction.CANCEL),
    HELD: (RunAction.RESUME, RunAction.WATCH, RunAction.PAUSE, RunAction.CANCEL),
    STALLED: (RunAction.RESUME, RunAction.PAUSE, RunAction.CANCEL),
    # Pausing again completes a pause whose process has died.
    State.PAUSING: (RunAction.PAUSE, RunAction.RESUME, RunAction.CANCEL),
    State.CANCELLING: (RunAction.CANCEL,),
    State.PAUSED: (RunAction.RESUME, RunAction.CANCEL),
    State.FAILED: (RunAction.RESUME, RunAction.RETRY, RunAction.REVERT),
    State.FINISHED_WITH_FAILURES: (RunAction.RETRY, RunAction.REVERT),
    State.VERIFICATION_FAILED: (RunAction.RESUME, RunAction.RETRY, RunAction.REVERT),
    State.SUCCEEDED: (RunAction.RETRY, RunAction.REVERT),
    State.CANCELLED: (RunAction.RETRY, RunAction.REVERT),
}

_PURPOSES = {
    RunAction.SHOW: "To see it",
    RunAction.WATCH: "To see it live",
    RunAction.RESUME: "To resume it",
    RunAction.PAUSE: "To pause it",
    RunAction.CANCEL: "To cancel it",
    RunAction.RETRY: "To retry the failed rows, once they are corrected",
    RunAction.REVERT: "To revert it",
}
_STATUS_PURPOSES = {
    (State.RUNNING, RunAction.RESUME): "To join it",
    (HELD, RunAction.RESUME): "To resume it anyway",
    (State.PAUSING, RunAction.PAUSE): "To complete the pause",
    (State.CANCELLING, RunAction.CANCEL): "To complete the cancel",
    (State.VERIFICATION_FAILED, RunAction.RESUME): "Correct what the checks found, then verify again",
}

# What to do before a failed run is resumed, by its error code: an SQLSTATE, or an exception's code.
_REMEDIES = {
    "53100": "Make room on the disk of the database (docs/guide/10-runbook.md), then resume it",
    TooManyFailures.code: "Correct the failed rows, then resume it",
    AllRowsFailed.code: "Correct what made every row fail, then resume it",
}
_DEFAULT_REMEDY = "Once that is solved, resume it"
# Errors that come again each time the run is resumed.
_PERMANENT_ERRORS = {NonTerminating.code, InvalidDeclaration.code}


@dataclass(frozen=True)
class RunStatus:
    """What decides which actions a run allows; ``status`` is a State, HELD or STALLED.

    ``is_resumable``: its operation can be rebuilt as it was. ``failed`` is the number of failed rows.
    ``rerun_command`` starts the same run again; it is "" where no command can. ``held_by`` names the
    indicators that hold the run. ``has_no_worker``: it waits for workers, and none is alive.
    """

    number: int
    status: str
    error_code: str = ""
    is_resumable: bool = True
    is_revertible: bool = True
    failed: int = 0
    rerun_command: str = ""
    held_by: Sequence[str] = ()
    uses_workers: bool = False
    has_no_worker: bool = False

    def allows(self, action: RunAction) -> bool:
        if action == RunAction.SHOW:
            return True
        if action == RunAction.RESUME and self.error_code in _PERMANENT_ERRORS:
            return False
        conditions = {
            RunAction.RESUME: self.is_resumable,
            RunAction.WATCH: self.is_resumable,
            RunAction.RETRY: self.is_resumable and self.failed > 0,
            RunAction.REVERT: self.is_revertible,
        }
        return action in ALLOWED_ACTIONS[self.status] and conditions.get(action, True)


def format_run_command(number: int, action: RunAction, *flags: str) -> str:
    return manage_command("runs", action, number, *flags)


def halt_command(number: int, state: State) -> str:
    """Return the command that halts a run which no process works on and none will."""
    action = RunAction.PAUSE if state in (State.RUNNING, State.PAUSING) else RunAction.CANCEL
    return format_run_command(number, action)


def end_commands(number: int, state: State) -> list[str]:
    """Return the commands that bring a run to an end: `halt_command`; before it, for a queued one, resume."""
    first = [format_run_command(number, RunAction.RESUME, "--here")] if state == State.QUEUED else []
    return [*first, halt_command(number, state)]


def rerun_command(run: Run) -> str:
    """Return the command that starts the same run again; "" where its rows were chosen by hand."""
    if run.scope.get("keys"):
        return ""
    if run.operation == Revert.name:
        return format_run_command(run.params.get("run", ""), RunAction.REVERT)
    flags = [flag for name, value in run.params.items() for flag in _param_flags(name, value)]
    for name, value in run.scope.get("filter", {}).items():
        flags += ["--filter", f"{name}__isnull=true" if value is None else f"{name}={value}"]
    return manage_command("operate", run.operation, *flags)


def _param_flags(name: str, value: object) -> list[str]:
    if value in (None, False, ""):
        return []
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


class Step(NamedTuple):
    """A command to type, and what it is for."""

    purpose: str
    command: str

    def __str__(self) -> str:
        return f"{self.purpose}: {self.command}"


def list_next_steps(run: RunStatus) -> list[Step]:
    """Return the steps that the run allows, the most usual first. Never empty."""
    actions = [action for action in ALLOWED_ACTIONS[run.status] if run.allows(action)]
    if run.uses_workers and run.status in (State.QUEUED, State.RUNNING):
        actions.sort(key=lambda action: action != RunAction.WATCH)
    steps = [_build_step(run, action) for action in actions]
    if run.status == State.FAILED and not run.allows(RunAction.RESUME):
        steps.insert(0, _rerun_step(run))
    if run.status in FINAL or not steps:
        steps.insert(0, Step("To see it again", format_run_command(run.number, RunAction.SHOW)))
    return steps


def hold_override_steps(number: int, held_by: Sequence[str]) -> list[Step]:
    """Return the step that resumes a run held by these indicators; [] where none is named."""
    held = RunStatus(number, HELD, held_by=held_by)
    return [_build_step(held, RunAction.RESUME)] if held_by else []


def get_next_step(run: RunStatus) -> Step:
    return list_next_steps(run)[0]


def _build_step(run: RunStatus, action: RunAction) -> Step:
    command = format_run_command(run.number, action, *_action_flags(run, action))
    return Step(_describe_purpose(run, action), command)


def _describe_purpose(run: RunStatus, action: RunAction) -> str:
    if (run.status, action) == (State.FAILED, RunAction.RESUME):
        return _REMEDIES.get(run.error_code, _DEFAULT_REMEDY)
    if (run.status, action) == (State.QUEUED, RunAction.RESUME):
        is_for_workers = run.uses_workers and not run.has_no_worker
        return "To put it on the queue again" if is_for_workers else "To start it in this terminal"
    return _STATUS_PURPOSES.get((run.status, action), _PURPOSES[action])


def _action_flags(run: RunStatus, action: RunAction) -> list[str]:
    if action != RunAction.RESUME:
        return []
    if run.status == HELD:
        return [word for name in run.held_by for word in ("--ignore-health", name)]
    return ["--here"] if run.has_no_worker else []


def _rerun_step(run: RunStatus) -> Step:
    """Return the step for a failed run that cannot be resumed."""
    if not run.rerun_command:
        return Step("It cannot be resumed. To see it again", format_run_command(run.number, RunAction.SHOW))
    if run.error_code in _PERMANENT_ERRORS:
        return Step("Correct the operation's code, then start again", run.rerun_command)
    return Step("It cannot be resumed. To start again", run.rerun_command)
