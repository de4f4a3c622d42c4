"""Where a column change stands, as its log tells."""

from __future__ import annotations

from typing import Any

from ops.column_changes.steps import Step
from ops.models import ColumnChangeEvent

# Named, so that a migration can read the log before a later one of `ops` adds a column to it.
_FIELDS = ("pk", "change", "step", "is_back", "performed_by", "run_id", "reason", "details", "created_at")


def current_step(change: str) -> Step | None:
    """Return the furthest step that was taken and not taken back; None before the first."""
    return max(standing_events(change), key=lambda step: step.position, default=None)


def standing_events(change: str) -> dict[Step, ColumnChangeEvent]:
    """Return the last event of each step that was taken and not taken back.

    Taking a step back takes back those after it too.
    """
    standing: dict[Step, ColumnChangeEvent] = {}
    for event in list_events(change):
        step = Step(event.step)
        if event.is_back:
            standing = {each: kept for each, kept in standing.items() if each.position < step.position}
        else:
            standing[step] = event
    return standing


def list_events(change: str) -> list[ColumnChangeEvent]:
    return list(ColumnChangeEvent.objects.filter(change=change).only(*_FIELDS).order_by("pk"))


def record_step(change: str, step: Step, performed_by: str, **values: Any) -> ColumnChangeEvent:
    """Record that the step was taken, or with ``is_back`` taken back."""
    event: ColumnChangeEvent = ColumnChangeEvent.objects.create(
        change=change, step=step, performed_by=performed_by, **values
    )
    return event
