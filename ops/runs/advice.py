"""What a person may do about a run, by what has become of it, in words and as the commands that do it.

Every message that advises takes its words from here, so that none advises what would be refused: a test
types each of them. What is known of a run is found out in `ops.runs.outlook`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ops.command_lines import manage_command
from ops.exceptions import AllRowsFailed, InvalidDeclaration, NonTerminating, TooManyFailures
from ops.states import HELD, STALLED, State


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


# What works from each status, the likeliest first. `show` works from all of them.
ALLOWED_ACTIONS: dict[str, tuple[RunAction, ...]] = {
    State.AWAITING_APPROVAL: (RunAction.CANCEL,),
    State.QUEUED: (RunAction.RESUME, RunAction.WATCH, RunAction.CANCEL),
    State.RUNNING: (RunAction.RESUME, RunAction.WATCH, RunAction.PAUSE, RunAction.CANCEL),
    HELD: (RunAction.RESUME, RunAction.WATCH, RunAction.PAUSE, RunAction.CANCEL),
    STALLED: (RunAction.RESUME, RunAction.PAUSE, RunAction.CANCEL),
    # Whoever asks for a halt that nobody completed, completes it.
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
    RunAction.RESUME: "To go on",
    RunAction.PAUSE: "To pause it",
    RunAction.CANCEL: "To give it up",
    RunAction.RETRY: "To try the failed rows again, once they are mended",
    RunAction.REVERT: "To take it back",
}
_STATUS_PURPOSES = {
    (State.RUNNING, RunAction.RESUME): "To join it",
    (HELD, RunAction.RESUME): "To go on all the same",
    (State.PAUSING, RunAction.PAUSE): "To complete the pause",
    (State.CANCELLING, RunAction.CANCEL): "To complete the cancel",
    (State.VERIFICATION_FAILED, RunAction.RESUME): "Mend what the checks found, and verify again with",
}

# What must be done before a failed run can go on, by its error: an SQLSTATE, or an exception's code.
_REMEDIES = {
    "53100": "Make room on the disk of the database (docs/guide/10-runbook.md), then go on",
    TooManyFailures.code: "Mend what the failed rows say, then go on",
    AllRowsFailed.code: "Mend what they all failed for, then go on",
}
_DEFAULT_REMEDY = "Once that is mended, go on"
# Errors after which a run can never end as it is declared.
_PERMANENT_ERRORS = {NonTerminating.code, InvalidDeclaration.code}


@dataclass(frozen=True)
class RunStatus:
    """What is known of a run that decides what works.

    ``goes_on``: its operation is what it was. ``anew`` is the command that asks the same once more, "" where
    none can. ``held_by`` are the names of indicators.
    """

    number: int
    status: str
    error_code: str = ""
    goes_on: bool = True
    reverts: bool = True
    failed: int = 0
    anew: str = ""
    held_by: Sequence[str] = ()
    by_workers: bool = False
    nobody_there: bool = False

    def works(self, verb: RunAction) -> bool:
        if verb == RunAction.SHOW:
            return True
        if verb == RunAction.RESUME and self.error_code in _PERMANENT_ERRORS:
            return False
        wants = {
            RunAction.RESUME: self.goes_on,
            RunAction.WATCH: self.goes_on,
            RunAction.RETRY: self.goes_on and self.failed > 0,
            RunAction.REVERT: self.reverts,
        }
        return verb in ALLOWED_ACTIONS[self.status] and wants.get(verb, True)


def format_run_command(number: int, verb: RunAction, *flags: str) -> str:
    return manage_command("runs", verb, number, *flags)


def halt_command(number: int, state: State) -> str:
    """What leaves a run of one of the states MOVING with nobody at work on it, and none to take it up."""
    verb = RunAction.PAUSE if state in (State.RUNNING, State.PAUSING) else RunAction.CANCEL
    return format_run_command(number, verb)


def end_commands(number: int, state: State) -> list[str]:
    """As `to_halt`; and for a run that nobody has begun, what brings it to its end instead."""
    first = [format_run_command(number, RunAction.RESUME, "--here")] if state == State.QUEUED else []
    return [*first, halt_command(number, state)]


class Step(NamedTuple):
    """Something that works: what for, and what to type."""

    purpose: str
    command: str

    def __str__(self) -> str:
        return f"{self.purpose}: {self.command}"


def list_next_steps(here: RunStatus) -> list[Step]:
    """What to do next, and what else works: what is done most often first. Never empty."""
    verbs = [verb for verb in ALLOWED_ACTIONS[here.status] if here.works(verb)]
    if here.by_workers and here.status in (State.QUEUED, State.RUNNING):
        verbs.sort(key=lambda verb: verb != RunAction.WATCH)
    told = [_build_step(here, verb) for verb in verbs]
    if here.status == State.FAILED and not here.works(RunAction.RESUME):
        told.insert(0, _rerun_step(here))
    if here.status in (State.SUCCEEDED, State.CANCELLED) or not told:
        told.insert(0, Step("To see it again", format_run_command(here.number, RunAction.SHOW)))
    return told


def hold_override_steps(number: int, held_by: Sequence[str]) -> list[Step]:
    """What lets a run go on that these indicators hold; nothing where none of them is known."""
    here = RunStatus(number, HELD, held_by=held_by)
    return [_build_step(here, RunAction.RESUME)] if held_by else []


def get_next_step(here: RunStatus) -> Step:
    return list_next_steps(here)[0]


def _build_step(here: RunStatus, verb: RunAction) -> Step:
    return Step(
        _describe_purpose(here, verb), format_run_command(here.number, verb, *_command_flags(here, verb))
    )


def _describe_purpose(here: RunStatus, verb: RunAction) -> str:
    if (here.status, verb) == (State.FAILED, RunAction.RESUME):
        return _REMEDIES.get(here.error_code, _DEFAULT_REMEDY)
    return _STATUS_PURPOSES.get((here.status, verb), _PURPOSES[verb])


def _command_flags(here: RunStatus, verb: RunAction) -> list[str]:
    if verb != RunAction.RESUME:
        return []
    if here.status == HELD:
        return [word for name in here.held_by for word in ("--ignore-health", name)]
    return ["--here"] if here.nobody_there else []


def _rerun_step(here: RunStatus) -> Step:
    """What a failed run asks for that cannot go on."""
    if not here.anew:
        return Step("It cannot go on. To see it again", format_run_command(here.number, RunAction.SHOW))
    first = (
        "Mend its declaration, then start"
        if here.error_code in _PERMANENT_ERRORS
        else "It cannot go on. Start"
    )
    return Step(f"{first} anew", here.anew)
