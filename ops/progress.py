"""How far a run is, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Sum
from django.utils import timezone

from ops.models import Run
from ops.states import AT_WORK


@dataclass(frozen=True)
class Progress:
    """Rows changed and failed of the rows that needed the change when the run was created.

    ``total`` is never less than what is done: rows may come to need the change while the run is under way.
    ``elapsed`` is the time that the run was running; pauses do not count.
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


def progress_of(run: Run) -> Progress:
    """Read from the lanes, so that the work of every process is in it."""
    told = run.lanes.aggregate(changed=Sum("changed"), failed=Sum("failed"), batches=Sum("batches"))
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
        elapsed=_worked(run),
    )


def _worked(run: Run) -> timedelta:
    if run.working_since is None or run.state not in AT_WORK:
        return run.worked
    return run.worked + (timezone.now() - run.working_since)
