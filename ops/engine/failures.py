"""Which errors are a row's fault, and how such a row is set aside."""

from __future__ import annotations

from django.db import DatabaseError
from django.db.models import F
from django.db.models.functions import Now
from psycopg import Error

from ops.models import Failure, Lane

# Data exceptions, broken constraints, and what a trigger raises.
_ROW_CLASSES = ("22", "23")
_RAISED = "P0001"
# Serialization failure, deadlock, lock not available.
LOST_RACES = {"40001", "40P01", "55P03"}


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a database error; empty where it has none, as a lost connection."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    return (cause.sqlstate or "") if isinstance(cause, Error) else ""


def is_of_a_row(error: DatabaseError) -> bool:
    state = sqlstate(error)
    return state[:2] in _ROW_CLASSES or state == _RAISED


def set_aside(lane: Lane, key: str, error: str) -> None:
    """Record that the row could not be changed, and let the cursor pass it. In the lane's transaction."""
    # What Python or a file name says may hold what PostgreSQL cannot store.
    reason = error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") or "no reason was given"
    Failure.objects.bulk_create([Failure(run=lane.run, object_id=key, error=reason)], ignore_conflicts=True)
    Lane.objects.filter(pk=lane.pk).update(cursor=key, failed=F("failed") + 1, heartbeat_at=Now())
