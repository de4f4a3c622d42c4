"""How a row that is at fault is set aside, and when so many are that the run must stop."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import F
from django.db.models.functions import Now

from ops.command_lines import manage_command
from ops.exceptions import AllRowsFailed
from ops.models import Failure, Lane, Run

# A run that has failed on so many rows and changed none, fails on every row.
CONSECUTIVE_FAILURE_LIMIT = 100
# So many rows, one after the other, that the database left as they were: there are more of them than anybody
# wants to have listed.
_UNCHANGED_ROW_LIMIT = 2_000


def record_failure(lane: Lane, key: str, error: str) -> None:
    """Record that the row could not be changed, and let the cursor pass it. In the lane's transaction."""
    # What Python or a file name says may hold what PostgreSQL cannot store.
    reason = error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") or "no reason was given"
    Failure.objects.bulk_create(
        [Failure(run=lane.run, object_id=key, error=reason)],
        update_conflicts=True,
        unique_fields=["run", "object_id"],
        update_fields=["error", "to_retry", "created_at"],
    )
    Lane.objects.filter(pk=lane.pk).update(cursor=key, failed=F("failed") + 1, heartbeat_at=Now())


def check_failure_limit(run: Run, failed: int, raised: int) -> None:
    """Raise NoneSucceeds once it is no row that is at fault, unless somebody said how many may fail.

    ``failed`` rows of the run, ``raised`` the last ones for each of which process() raised.
    """
    if run.max_failures is not None or failed < CONSECUTIVE_FAILURE_LIMIT:
        return
    if raised >= CONSECUTIVE_FAILURE_LIMIT:
        told = f"process() raised for {raised} rows, one after the other"
    elif not run.lanes.filter(changed__gt=0).exists():
        told = f"the first {failed} rows all failed, and none was changed"
    else:
        return
    raise _build_none_succeeds(run, told)


def check_unchanged_limit(run: Run, refused: int, left: Callable[[], int]) -> None:
    """Raise NoneSucceeds once the database left so many rows as they were that to try the rest is idle."""
    if run.max_failures is None and refused >= _UNCHANGED_ROW_LIMIT:
        told = f"the database left {refused:,} rows as they were, one after the other"
        raise _build_none_succeeds(run, f"{told}; {left():,} more have not been tried since")


def unchanged_reason(selected: int) -> str:
    """Why a row was not changed, though it is a candidate and no error was raised."""
    if selected:
        kept = "a trigger or row-level security kept the row as it was"
        return f"not changed: {kept}, or others changed it meanwhile each time"
    return "not changed: this role may read the row, but not change it (row-level security)"


def _build_none_succeeds(run: Run, told: str) -> AllRowsFailed:
    latest = run.failures.counted().latest("created_at", "pk")
    return AllRowsFailed(
        f"{told}. The last one, {latest.object_id}: {latest.error.partition(chr(10))[0]}."
        f" To see them: {manage_command('runs', 'failures', run.pk)}."
        f" Once it is mended: {manage_command('runs', 'resume', run.pk)};"
        " where so many rows may fail, with --max-failures N"
    )
