"""The status of a run, and what decides the next steps."""

from __future__ import annotations

from django.utils import timezone

from ops.db import canonical_output
from ops.exceptions import OpsError
from ops.health.hold import holding_indicators, is_held
from ops.models import Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.operations.validation import build_operation
from ops.queue import liveness
from ops.runs.next_steps import RunStatus, get_next_step, rerun_command
from ops.runs.rebuild import rebuild_operation
from ops.runs.reverts import read_reversal
from ops.states import HELD, STALLED, UNFINISHED, State


def compute_status(run: Run) -> str:
    """Return the state of the run; of a running one that makes no progress, HELD or STALLED."""
    if run.state == State.RUNNING:
        if is_held(run):
            return HELD
        if liveness.is_stalled(run):
            return STALLED
    return run.state


def status_label(status: str) -> str:
    return status if status in (HELD, STALLED) else State(status).label


def read_run_status(run: Run) -> RunStatus:
    """Read everything that decides which actions the run allows."""
    status = compute_status(run)
    ended = run.state not in UNFINISHED
    return RunStatus(
        run.pk,
        status,
        error_code=run.error_code,
        is_resumable=_may_resume(run),
        is_revertible=ended and _may_revert(run),
        failed=run.failures.count() if ended else 0,
        rerun_command=rerun_command(run),
        held_by=holding_indicators(run.held_reason) if status == HELD else (),
        uses_workers=run.workers is not None,
        has_no_worker=_has_no_worker(run, status),
    )


def _may_resume(run: Run) -> bool:
    try:
        rebuild_operation(run)
    except OpsError:
        return False
    return True


def _may_revert(run: Run) -> bool:
    """Whether the run changed rows, its model still exists, and no other run has reverted them."""
    reversal = read_reversal(run)
    if reversal.left <= 0 or reversal.active:
        return False
    try:
        operation = build_operation(registry.get_operation(Revert.name), {"run": run.pk}, timezone.now())
    except OpsError:
        return False
    if not reversal.has_ended_revert:
        return True
    with canonical_output():  # What the revert has left may be conflicts.
        return operation.get_queryset().exists()


def _has_no_worker(run: Run, status: str) -> bool:
    """Whether the run waits for workers, and none is alive."""
    is_waiting = run.workers is not None and status in (State.QUEUED, State.RUNNING, STALLED)
    return is_waiting and liveness.get_worker_warning() != ""


def describe_next_step(run: Run) -> str:
    """Return the most usual next step as a line of text."""
    return str(get_next_step(read_run_status(run)))
