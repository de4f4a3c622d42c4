"""The events of a run's life, each logged as it is moved from state to state."""

from __future__ import annotations

import logging
from typing import Any

from ops.events import log_event, process_name
from ops.formatting import rows_per_second
from ops.models import Run
from ops.operations.base import is_failed_check
from ops.runs.progress import read_progress
from ops.states import State

# What a move of the run's state is called; every other state is an end.
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
    """Log who asked for what."""
    how = {name: getattr(run, name) for name in _EXECUTION_FIELDS}
    scope = {name: asked for name, asked in run.scope.items() if asked}
    log_event(
        run, "created", operation=run.operation, by=run.performed_by, rows=run.total, **how, scope=scope
    )


def log_transition(run: Run, by: str) -> None:
    """Log the state that the run has just moved to, and who asked for it; an end with its figures."""
    state = State(run.state)
    if state == State.RUNNING:
        log_event(run, _TRANSITION_EVENTS[state], by=by, process=process_name())
    elif state in _TRANSITION_EVENTS:
        log_event(run, _TRANSITION_EVENTS[state], by=by)
    else:
        log_event(run, "ended", _LOG_LEVELS.get(state, logging.INFO), by=by, **_run_statistics(run))


def _run_statistics(run: Run) -> dict[str, Any]:
    told = read_progress(run)
    seconds = told.elapsed.total_seconds()
    return {
        "state": run.state,
        "changed": told.changed,
        "of": told.total,
        "failed": told.failed,
        "seconds": round(seconds, 1),
        "rate": round(rows_per_second(told.changed, told.elapsed)),
        "batches": told.batches,
        "sweeps": told.sweep,
        "wrong": ", ".join(
            f"{check['found']:,} {check['label']}" for check in run.checks if is_failed_check(check)
        ),
        "error": run.error,
    }
