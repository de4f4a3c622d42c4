"""The life of an export that a worker writes: its transitions from state to state."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from ops.models import Export, ExportState

TRANSITIONS: dict[ExportState, set[ExportState]] = {
    # Waiting for a worker to claim it.
    ExportState.QUEUED: {ExportState.RUNNING, ExportState.CANCELLED},
    # Another worker claims it where the last one was lost; one that is told to stop requeues it.
    ExportState.RUNNING: {
        ExportState.QUEUED,
        ExportState.RUNNING,
        ExportState.CANCELLING,
        ExportState.SUCCEEDED,
        ExportState.FAILED,
    },
    # It may end by itself before its worker sees that it is to stop.
    ExportState.CANCELLING: {ExportState.CANCELLED, ExportState.SUCCEEDED, ExportState.FAILED},
    ExportState.SUCCEEDED: set(),
    ExportState.CANCELLED: set(),
    ExportState.FAILED: set(),
}


def transition(exports: QuerySet[Export], to: ExportState, **changes: Any) -> int:
    """Move exports to another state and write ``changes`` into them, by one conditional UPDATE.

    Those whose state does not lead there are left as they are. Returns the number of exports that moved.
    """
    source_states = [state for state, target_states in TRANSITIONS.items() if to in target_states]
    if not TRANSITIONS[to]:
        changes["finished_at"] = Now()
    return exports.filter(state__in=source_states).update(state=to, **changes)
