"""What a person may do about a run, by what has become of it, in words and as the commands that do it.

Every message that advises takes its words from here, so that none advises what would be refused: a test
types each of them. What is known of a run is found out in `ops.outlook`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ops.states import HELD, STALLED, State
from ops.typed import manage


class Verb(StrEnum):
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
WORKS: dict[str, tuple[Verb, ...]] = {
    State.AWAITING_APPROVAL: (Verb.CANCEL,),
    State.QUEUED: (Verb.RESUME, Verb.WATCH, Verb.CANCEL),
    State.RUNNING: (Verb.RESUME, Verb.WATCH, Verb.PAUSE, Verb.CANCEL),
    HELD: (Verb.RESUME, Verb.WATCH, Verb.PAUSE, Verb.CANCEL),
    STALLED: (Verb.RESUME, Verb.PAUSE, Verb.CANCEL),
    # Whoever asks for a halt that nobody completed, completes it.
    State.PAUSING: (Verb.PAUSE, Verb.RESUME, Verb.CANCEL),
    State.CANCELLING: (Verb.CANCEL,),
    State.PAUSED: (Verb.RESUME, Verb.CANCEL),
    State.FAILED: (Verb.RESUME, Verb.RETRY, Verb.REVERT),
    State.FINISHED_WITH_FAILURES: (Verb.RETRY, Verb.REVERT),
    State.VERIFICATION_FAILED: (Verb.RESUME, Verb.RETRY, Verb.REVERT),
    State.SUCCEEDED: (Verb.RETRY, Verb.REVERT),
    State.CANCELLED: (Verb.RETRY, Verb.REVERT),
}

_PURPOSES = {
    Verb.SHOW: "To see it",
    Verb.WATCH: "To see it live",
    Verb.RESUME: "To go on",
    Verb.PAUSE: "To pause it",
    Verb.CANCEL: "To give it up",
    Verb.RETRY: "To try the failed rows again, once they are mended",
    Verb.REVERT: "To take it back",
}
_HERE_AND_NOW = {
    (State.RUNNING, Verb.RESUME): "To join it",
    (HELD, Verb.RESUME): "To go on all the same",
    (State.PAUSING, Verb.PAUSE): "To complete the pause",
    (State.CANCELLING, Verb.CANCEL): "To complete the cancel",
    (State.VERIFICATION_FAILED, Verb.RESUME): "Mend what the checks found, and verify again with",
}

# What must be done before a failed run can go on, by its error: an SQLSTATE, or the name of an exception.
_MENDS = {
    "53100": "Make room on the disk of the database (docs/guide/10-runbook.md), then go on",
    "TooManyFailures": "Mend what the failed rows say, then go on",
    "NoneSucceeds": "Mend what they all failed for, then go on",
}
_MEND = "Once that is mended, go on"
# Errors after which a run can never end as it is declared.
_FOR_GOOD = {"NeverShrinks", "InvalidDeclaration"}


@dataclass(frozen=True)
class Outlook:
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

    def works(self, verb: Verb) -> bool:
        if verb == Verb.SHOW:
            return True
        if verb == Verb.RESUME and self.error_code in _FOR_GOOD:
            return False
        wants = {
            Verb.RESUME: self.goes_on,
            Verb.WATCH: self.goes_on,
            Verb.RETRY: self.goes_on and self.failed > 0,
            Verb.REVERT: self.reverts,
        }
        return verb in WORKS[self.status] and wants.get(verb, True)


def command(number: int, verb: Verb, *flags: str) -> str:
    return manage("runs", verb, number, *flags)


def to_halt(number: int, state: State) -> str:
    """What leaves a run of one of the states MOVING with nobody at work on it, and none to take it up."""
    verb = Verb.PAUSE if state in (State.RUNNING, State.PAUSING) else Verb.CANCEL
    return command(number, verb)


def to_have_over(number: int, state: State) -> list[str]:
    """As `to_halt`; and for a run that nobody has begun, what brings it to its end instead."""
    first = [command(number, Verb.RESUME, "--here")] if state == State.QUEUED else []
    return [*first, to_halt(number, state)]


class Step(NamedTuple):
    """Something that works: what for, and what to type."""

    purpose: str
    command: str

    def __str__(self) -> str:
        return f"{self.purpose}: {self.command}"


def steps(here: Outlook) -> list[Step]:
    """What to do next, and what else works: what is done most often first. Never empty."""
    verbs = [verb for verb in WORKS[here.status] if here.works(verb)]
    if here.by_workers and here.status in (State.QUEUED, State.RUNNING):
        verbs.sort(key=lambda verb: verb != Verb.WATCH)
    told = [_step(here, verb) for verb in verbs]
    if here.status == State.FAILED and not here.works(Verb.RESUME):
        told.insert(0, _anew(here))
    if here.status in (State.SUCCEEDED, State.CANCELLED) or not told:
        told.insert(0, Step("To see it again", command(here.number, Verb.SHOW)))
    return told


def past_a_hold(number: int, held_by: Sequence[str]) -> list[Step]:
    """What lets a run go on that these indicators hold; nothing where none of them is known."""
    here = Outlook(number, HELD, held_by=held_by)
    return [_step(here, Verb.RESUME)] if held_by else []


def next_step(here: Outlook) -> Step:
    return steps(here)[0]


def _step(here: Outlook, verb: Verb) -> Step:
    return Step(_purpose(here, verb), command(here.number, verb, *_flags(here, verb)))


def _purpose(here: Outlook, verb: Verb) -> str:
    if (here.status, verb) == (State.FAILED, Verb.RESUME):
        return _MENDS.get(here.error_code, _MEND)
    return _HERE_AND_NOW.get((here.status, verb), _PURPOSES[verb])


def _flags(here: Outlook, verb: Verb) -> list[str]:
    if verb != Verb.RESUME:
        return []
    if here.status == HELD:
        return [word for name in here.held_by for word in ("--ignore-health", name)]
    return ["--here"] if here.nobody_there else []


def _anew(here: Outlook) -> Step:
    """What a failed run asks for that cannot go on."""
    if not here.anew:
        return Step("It cannot go on. To see it again", command(here.number, Verb.SHOW))
    first = "Mend its declaration, then start" if here.error_code in _FOR_GOOD else "It cannot go on. Start"
    return Step(f"{first} anew", here.anew)
