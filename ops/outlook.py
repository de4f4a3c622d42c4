"""What has become of a run, in one word, and what a person may do about it."""

from __future__ import annotations

from django.utils import timezone

from ops import advice, registry
from ops.advice import Outlook
from ops.declaration import build
from ops.exceptions import OpsError
from ops.health.hold import holders, is_held
from ops.models import Run
from ops.progress import progress_of
from ops.queue import presence
from ops.rebuild import REVERT, anew, operation_of
from ops.states import HELD, MOVING, STALLED, State


def status_of(run: Run) -> str:
    """The state of the run, or, where it is running and does not move, HELD or STALLED."""
    if run.state == State.RUNNING:
        if is_held(run):
            return HELD
        if presence.is_quiet(run):
            return STALLED
    return run.state


def label_of(status: str) -> str:
    return status if status in (HELD, STALLED) else State(status).label


def look(run: Run) -> Outlook:
    """Everything that decides what works from here."""
    status = status_of(run)
    ended = run.state not in (*MOVING, State.PAUSED, State.AWAITING_APPROVAL)
    return Outlook(
        run.pk,
        status,
        error_code=run.error_code,
        goes_on=_goes_on(run),
        reverts=ended and _reverts(run),
        failed=run.failures.count() if ended else 0,
        anew=anew(run),
        held_by=holders(run.held_reason) if status == HELD else (),
        by_workers=run.workers is not None,
        nobody_there=_nobody_there(run, status),
    )


def _goes_on(run: Run) -> bool:
    try:
        operation_of(run)
    except OpsError:
        return False
    return True


def _reverts(run: Run) -> bool:
    """Whether it changed something, and its model still is there to be set back."""
    if not progress_of(run).changed:
        return False
    try:
        build(registry.get(REVERT), {"run": run.pk}, timezone.now())
    except OpsError:
        return False
    return True


def _nobody_there(run: Run, status: str) -> bool:
    """Whether the run waits for workers, and none is alive."""
    waits = run.workers is not None and status in (State.QUEUED, State.RUNNING, STALLED)
    return waits and presence.missing() != ""


def next_step(run: Run) -> str:
    """What to type next."""
    return str(advice.next_step(look(run)))
