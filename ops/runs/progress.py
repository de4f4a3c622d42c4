"""The progress of a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import DurationField, ExpressionWrapper, F, Max, Sum
from django.db.models.functions import Now

from ops.models import Run
from ops.states import IN_PROGRESS

_ZERO = timedelta()


@dataclass(frozen=True)
class Progress:
    """Rows changed and failed, of the ``total`` that needed the change when the run was created.

    ``total`` is never less than ``done``: rows may come to need the change during the run. ``elapsed`` is the
    time that the run was running, by the database's clock; pauses do not count.
    """

    run: int
    operation: str
    state: str
    total: int
    changed: int
    failed: int
    batches: int
    sweep: int
    elapsed: timedelta

    @property
    def done(self) -> int:
        return self.changed + self.failed


def read_progress(run: Run) -> Progress:
    """Read the progress from the lanes, which have the work of every process."""
    sums = run.lanes.aggregate(
        changed=Sum("changed"),
        failed=Sum("failed"),
        batches=Sum("batches"),
        busiest=Max("busy"),
        timer_elapsed=Max(ExpressionWrapper(Now() - F("run__working_since"), DurationField())),
    )
    changed, failed = sums["changed"] or 0, sums["failed"] or 0
    return Progress(
        run=run.pk,
        operation=run.operation,
        state=run.state,
        total=max(run.total, changed + failed),
        changed=changed,
        failed=failed,
        batches=sums["batches"] or 0,
        sweep=run.sweep,
        elapsed=_elapsed_time(run, sums["timer_elapsed"] or _ZERO, sums["busiest"] or _ZERO),
    )


def _elapsed_time(run: Run, timer_elapsed: timedelta, busiest: timedelta) -> timedelta:
    """Return at least the time of the busiest lane's batches, whatever the clock says."""
    now = timer_elapsed if run.state in IN_PROGRESS else _ZERO
    return max(run.worked + max(now, _ZERO), busiest)
