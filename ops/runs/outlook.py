"""What has become of a run, in one word, and what a person may do about it."""

from __future__ import annotations

from django.utils import timezone

from ops.exceptions import OpsError
from ops.health.hold import holding_indicators, is_held
from ops.models import Run
from ops.operations import registry
from ops.operations.validation import build_operation
from ops.queue import liveness
from ops.runs import advice
from ops.runs.advice import RunStatus
from ops.runs.progress import read_progress
from ops.runs.rebuild import REVERT, rebuild_operation, rerun_command
from ops.states import ACTIVE, HELD, STALLED, State


def compute_status(run: Run) -> str:
    """The state of the run, or, where it is running and does not move, HELD or STALLED."""
    if run.state == State.RUNNING:
        if is_held(run):
            return HELD
        if liveness.is_stalled(run):
            return STALLED
    return run.state


def status_label(status: str) -> str:
    return status if status in (HELD, STALLED) else State(status).label


def read_run_status(run: Run) -> RunStatus:
    """Everything that decides what works from here."""
    status = compute_status(run)
    ended = run.state not in (*ACTIVE, State.PAUSED, State.AWAITING_APPROVAL)
    return RunStatus(
        run.pk,
        status,
        error_code=run.error_code,
        goes_on=_may_resume(run),
        reverts=ended and _may_revert(run),
        failed=run.failures.count() if ended else 0,
        anew=rerun_command(run),
        held_by=holding_indicators(run.held_reason) if status == HELD else (),
        by_workers=run.workers is not None,
        nobody_there=_has_no_worker(run, status),
    )


def _may_resume(run: Run) -> bool:
    try:
        rebuild_operation(run)
    except OpsError:
        return False
    return True


def _may_revert(run: Run) -> bool:
    """Whether it changed something, and its model still is there to be set back."""
    if not read_progress(run).changed:
        return False
    try:
        build_operation(registry.get_operation(REVERT), {"run": run.pk}, timezone.now())
    except OpsError:
        return False
    return True


def _has_no_worker(run: Run, status: str) -> bool:
    """Whether the run waits for workers, and none is alive."""
    waits = run.workers is not None and status in (State.QUEUED, State.RUNNING, STALLED)
    return waits and liveness.get_worker_warning() != ""


def describe_next_step(run: Run) -> str:
    """What to type next."""
    return str(advice.get_next_step(read_run_status(run)))
