"""How a row that is at fault is set aside."""

from __future__ import annotations

from django.db.models import F
from django.db.models.functions import Now

from ops.models import Failure, Lane


def set_aside(lane: Lane, key: str, error: str) -> None:
    """Record that the row could not be changed, and let the cursor pass it. In the lane's transaction."""
    # What Python or a file name says may hold what PostgreSQL cannot store.
    reason = error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") or "no reason was given"
    Failure.objects.bulk_create([Failure(run=lane.run, object_id=key, error=reason)], ignore_conflicts=True)
    Lane.objects.filter(pk=lane.pk).update(cursor=key, failed=F("failed") + 1, heartbeat_at=Now())
