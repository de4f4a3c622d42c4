"""Taking a lane and looking ahead in it."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, QuerySet, Value, When

from ops.candidates import ahead_of
from ops.models import Lane, Run
from ops.sql.batch import Reach


def take(run: Run, preferred: int | None) -> Lane | None:
    """Lock an unfinished lane that nobody else holds, the preferred one if it is free. In a transaction."""
    mine_first = Case(When(pk=preferred, then=Value(0)), default=Value(1))
    lanes = run.lanes.select_for_update(skip_locked=True, no_key=True).filter(finished=False)
    return lanes.order_by(mine_first, "heartbeat_at", "number").first()


def retake(lane: Lane) -> bool:
    """Lock the lane again; whether it still stands where it was read. In a transaction."""
    now = Lane.objects.select_for_update(no_key=True).get(pk=lane.pk)
    return not now.finished and now.cursor == lane.cursor


def look_ahead(lane: Lane, candidates: QuerySet[Any], rows: int, keys: int) -> Reach:
    """The span of the next ``keys`` keys, whether candidates or not; for one row, the next candidate."""
    looked_at = candidates if rows == 1 else candidates.model._base_manager.all()
    place = 1 if rows == 1 else keys
    key = ahead_of(lane, looked_at).order_by("pk").values_list("pk", flat=True)[place - 1 : place].first()
    if key is None:
        return Reach(rows, lane.upper, last=True)
    return Reach(rows, str(key), last=False)
