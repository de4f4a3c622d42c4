"""The runs of a change: those that fill its new column, and their reverts."""

from __future__ import annotations

from datetime import datetime

from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.models import Run
from ops.operations.revert import find_reverts
from ops.operations.scope import Scope
from ops.operations.validation import model_label
from ops.runs import claims
from ops.runs.next_steps import RunAction
from ops.runs.status import read_run_status
from ops.states import UNFINISHED, State


def find_backfill(change: type[ColumnChange], since: datetime) -> Run | None:
    """Return the run over all rows that has filled the new column, or that can be resumed; else None.

    A run from before ``since``, when the column was made, filled another column of that name.
    """
    runs = Run.objects.filter(operation=change.operation_name(), created_at__gte=since)
    for run in runs.filter(scope=Scope().as_json()).order_by("-pk"):
        if run.state == State.SUCCEEDED and not is_reverted(run):
            return run
        if is_open(run) or (run.state != State.SUCCEEDED and _is_resumable(run)):
            return run
    return None


def find_revert(run: Run) -> Run | None:
    """Return the newest revert of the run that was not cancelled."""
    return find_reverts(run.pk).exclude(state=State.CANCELLED).last()


def is_reverted(run: Run) -> bool:
    """Whether a revert of the run has ended and was not reverted itself."""
    return any(not is_reverted(revert) for revert in find_reverts(run.pk).filter(state=State.SUCCEEDED))


def find_writer(change: type[BaseColumnChange]) -> Run | None:
    """Return a run that has not ended and writes one of the two columns; a removal adds none."""
    if not issubclass(change, ColumnChange):
        return None
    claim = claims.find_claim(model_label(change.model), change.fields())
    return claim.run if claim else None


def is_open(run: Run) -> bool:
    return run.state in UNFINISHED


def _is_resumable(run: Run) -> bool:
    return read_run_status(run).allows(RunAction.RESUME)
