"""Where a column change stands, as its log tells."""

from __future__ import annotations

from typing import Any

from ops.column_changes.steps import Step
from ops.models import ColumnChangeEvent


def current_step(change: str) -> Step | None:
    """Return the last step that was taken and not taken back; None before the first."""
    event = ColumnChangeEvent.objects.filter(change=change).order_by("pk").last()
    if event is None:
        return None
    step = Step(event.step)
    return step.previous if event.is_back else step


def list_events(change: str) -> list[ColumnChangeEvent]:
    return list(ColumnChangeEvent.objects.filter(change=change).order_by("pk"))


def record_step(change: str, step: Step, performed_by: str, **values: Any) -> ColumnChangeEvent:
    """Record that the step was taken, or with ``is_back`` taken back."""
    event: ColumnChangeEvent = ColumnChangeEvent.objects.create(
        change=change, step=step, performed_by=performed_by, **values
    )
    return event
