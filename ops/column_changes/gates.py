"""The gates of a column change: what must hold before a step."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Max
from django.utils import timezone

from ops.column_changes import position
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import format_duration
from ops.models import ColumnChangeEvent, ColumnWriter


class GateClosed(OpsError):
    """A step may not be taken yet. Nothing is wrong: a deploy stops before it, and goes on later."""

    exit_status = 3


def require_open(change: str, step: Step, wait: timedelta = timedelta()) -> None:
    """Raise GateClosed, which says what is missing and what to type, unless the step may be taken."""
    if missing := find_missing(change, step, wait):
        raise GateClosed(
            f"{change}: the step {step} has to wait. {missing[0]}",
            f"To see where it stands: {manage_command('column_change', change)}",
        )


def find_missing(change: str, step: Step, wait: timedelta = timedelta()) -> list[str]:
    """Return what does not hold yet before the step."""
    current = position.current_step(change)
    if step.previous and (current is None or current.position < step.previous.position):
        return [f"The step before it, {step.previous}, has not been taken."]
    if step is Step.RETIRE:
        return _find_late_writes(change, wait)
    return []


def _find_late_writes(change: str, wait: timedelta) -> list[str]:
    writes = ColumnWriter.objects.filter(change=change).aggregate(last=Max("last_written_at"))["last"]
    expanded = ColumnChangeEvent.objects.filter(change=change, step=Step.EXPAND, is_back=False).last()
    since = max(filter(None, (writes, expanded and expanded.created_at)))
    left = since + wait - timezone.now()
    return [f"The old column was written in the last {format_duration(wait)}."] if left > timedelta() else []
