"""What happens to runs, told to the logger `ops.runs`: one record an event, once it is committed."""

from __future__ import annotations

import logging
import os
import socket
from functools import partial
from typing import Any

from django.db import connection, transaction

from ops.models import Run
from ops.operation import is_wrong
from ops.progress import progress_of
from ops.states import State
from ops.words import per_second

log = logging.getLogger("ops.runs")

# What a move of the run's state is called; every other state is an end.
_MOVES = {
    State.QUEUED: "resumed",
    State.RUNNING: "started",
    State.PAUSING: "pausing",
    State.PAUSED: "paused",
    State.CANCELLING: "cancelling",
}
_HOW = ("params", "workers", "batch_size", "max_rate", "max_failures", "ignored_health")
_LEVELS = {
    State.FINISHED_WITH_FAILURES: logging.WARNING,
    State.VERIFICATION_FAILED: logging.WARNING,
    State.FAILED: logging.ERROR,
}


def tell(run: Run, event: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log what happened to the run: after the transaction under way, and only if that commits.

    ``facts`` are read in their order; those that are None or empty say nothing and are left out.
    """
    told = {name: fact for name, fact in facts.items() if fact not in (None, "", {}, [])}
    message = " ".join([f"run {run.pk} {event}", *(f"{name}={fact!r}" for name, fact in told.items())])
    emit = partial(log.log, level, "%s", message, extra={"run": run.pk, "event": event, "facts": told})
    if connection.in_atomic_block:
        transaction.on_commit(emit)
    else:  # on_commit would ask for a connection, and this may be told because there is none
        emit()


def tell_created(run: Run) -> None:
    """Log who asked for what."""
    how = {name: getattr(run, name) for name in _HOW}
    scope = {name: asked for name, asked in run.scope.items() if asked}
    tell(run, "created", operation=run.operation, by=run.performed_by, rows=run.total, **how, scope=scope)


def tell_move(run: Run, by: str) -> None:
    """Log the state that the run has just moved to, and who asked for it; an end with its figures."""
    state = State(run.state)
    if state == State.RUNNING:
        tell(run, _MOVES[state], by=by, process=process())
    elif state in _MOVES:
        tell(run, _MOVES[state], by=by)
    else:
        tell(run, "ended", _LEVELS.get(state, logging.INFO), by=by, **_figures(run))


def process() -> str:
    """This process, as the log names it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _figures(run: Run) -> dict[str, Any]:
    told = progress_of(run)
    seconds = told.elapsed.total_seconds()
    return {
        "state": run.state,
        "changed": told.changed,
        "of": told.total,
        "failed": told.failed,
        "seconds": round(seconds, 1),
        "rate": round(per_second(told.changed, told.elapsed)),
        "batches": told.batches,
        "sweeps": told.sweep,
        "wrong": ", ".join(f"{check['found']:,} {check['label']}" for check in run.checks if is_wrong(check)),
        "error": run.error,
    }
