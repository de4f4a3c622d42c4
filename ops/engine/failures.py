"""How a row that is at fault is set aside, and when so many are that the run must stop."""

from __future__ import annotations

from django.db.models import F
from django.db.models.functions import Now

from ops.exceptions import NoneSucceeds
from ops.models import Failure, Lane, Run
from ops.typed import manage

# A run that has failed on so many rows and changed none, fails on every row.
FUTILE = 100


def set_aside(lane: Lane, key: str, error: str) -> None:
    """Record that the row could not be changed, and let the cursor pass it. In the lane's transaction."""
    # What Python or a file name says may hold what PostgreSQL cannot store.
    reason = error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") or "no reason was given"
    Failure.objects.bulk_create([Failure(run=lane.run, object_id=key, error=reason)], ignore_conflicts=True)
    Lane.objects.filter(pk=lane.pk).update(cursor=key, failed=F("failed") + 1, heartbeat_at=Now())


def refuse_futile(run: Run, failed: int, raised: int) -> None:
    """Raise NoneSucceeds once it is no row that is at fault, unless somebody said how many may fail.

    ``failed`` rows of the run, ``raised`` the last ones for each of which process() raised.
    """
    if run.max_failures is not None or failed < FUTILE:
        return
    if raised >= FUTILE:
        told = f"process() raised for {raised} rows, one after the other"
    elif not run.lanes.filter(changed__gt=0).exists():
        told = f"the first {failed} rows all failed, and none was changed"
    else:
        return
    latest = Failure.objects.filter(run=run).latest("pk")
    raise NoneSucceeds(
        f"{told}. The last one, {latest.object_id}: {latest.error.partition(chr(10))[0]}."
        f" To see them: {manage('runs', 'show', run.pk)}."
        f" Once it is mended: {manage('runs', 'resume', run.pk)};"
        " where so many rows may fail, with --max-failures N"
    )
