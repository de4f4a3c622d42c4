"""Log a run's creation and its changes of state."""

from __future__ import annotations

import logging
from typing import Any

from ops.events import log_event, process_name
from ops.formatting import rows_per_second
from ops.models import Run
from ops.operations.base import is_failed_check
from ops.runs.progress import read_progress
from ops.states import State

# The event for each new state; the other states are ends.
_TRANSITION_EVENTS = {
    State.QUEUED: "resumed",
    State.RUNNING: "started",
    State.PAUSING: "pausing",
    State.PAUSED: "paused",
    State.CANCELLING: "cancelling",
}


_EXECUTION_FIELDS = ("params", "workers", "batch_size", "max_rate", "max_failures", "ignored_health")


_LOG_LEVELS = {
    State.FINISHED_WITH_FAILURES: logging.WARNING,
    State.VERIFICATION_FAILED: logging.WARNING,
    State.FAILED: logging.ERROR,
}


def log_created(run: Run) -> None:
    """Log the request and who made it."""
    options = {name: getattr(run, name) for name in _EXECUTION_FIELDS}
    scope = {name: value for name, value in run.scope.items() if value}
    log_event(
        run, "created", operation=run.operation, by=run.performed_by, rows=run.total, **options, scope=scope
    )


def log_transition(run: Run, requested_by: str) -> None:
    """Log the run's new state and who requested it; an end with its statistics."""
    state = State(run.state)
    if state == State.RUNNING:
        log_event(run, _TRANSITION_EVENTS[state], by=requested_by, process=process_name())
    elif state == State.QUEUED and run.started_at is None:
        log_event(run, "approved", by=requested_by)  # only a run that waited for that is queued anew
    elif state in _TRANSITION_EVENTS:
        log_event(run, _TRANSITION_EVENTS[state], by=requested_by)
    else:
        log_event(run, "ended", _LOG_LEVELS.get(state, logging.INFO), by=requested_by, **_run_statistics(run))


def _run_statistics(run: Run) -> dict[str, Any]:
    progress = read_progress(run)
    seconds = progress.elapsed.total_seconds()
    return {
        "state": run.state,
        "changed": progress.changed,
        "of": progress.total,
        "failed": progress.failed,
        "seconds": round(seconds, 1),
        "rate": round(rows_per_second(progress.changed, progress.elapsed)),
        "batches": progress.batches,
        "sweeps": progress.sweep,
        "wrong": ", ".join(
            f"{check['found']:,} {check['label']}" for check in run.checks if is_failed_check(check)
        ),
        "error": run.error,
    }
