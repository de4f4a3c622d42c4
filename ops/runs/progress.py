"""How far a run is, for whoever watches it."""

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
    """Rows changed and failed of the rows that needed the change when the run was created.

    ``total`` is never less than what is done: rows may come to need the change while the run is under way.
    ``elapsed`` is the time that the run was running, by the database's clock; pauses do not count.
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
    """Read from the lanes, so that the work of every process is in it."""
    told = run.lanes.aggregate(
        changed=Sum("changed"),
        failed=Sum("failed"),
        batches=Sum("batches"),
        busiest=Max("busy"),
        ticking=Max(ExpressionWrapper(Now() - F("run__working_since"), DurationField())),
    )
    changed, failed = told["changed"] or 0, told["failed"] or 0
    return Progress(
        run=run.pk,
        operation=run.operation,
        state=run.state,
        total=max(run.total, changed + failed),
        changed=changed,
        failed=failed,
        batches=told["batches"] or 0,
        sweep=run.sweep,
        elapsed=_elapsed_time(run, told["ticking"] or _ZERO, told["busiest"] or _ZERO),
    )


def _elapsed_time(run: Run, ticking: timedelta, busiest: timedelta) -> timedelta:
    """The batches of a lane came one after another: so long it took at least, whatever the clock says."""
    now = ticking if run.state in IN_PROGRESS else _ZERO
    return max(run.worked + max(now, _ZERO), busiest)
