"""How far a run is, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Sum
from django.utils import timezone

from ops.models import Run


@dataclass(frozen=True)
class Progress:
    """Rows changed and failed of the rows that needed the change when the run was created."""

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
    until = run.finished_at or timezone.now()
    return Progress(
        run=run.pk,
        operation=run.operation,
        state=run.state,
        total=run.total,
        changed=told["changed"] or 0,
        failed=told["failed"] or 0,
        batches=told["batches"] or 0,
        sweep=run.sweep,
        elapsed=until - run.started_at if run.started_at else timedelta(),
    )
