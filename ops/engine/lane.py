"""Taking a lane and looking ahead in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Value

from ops.candidates import between, candidates
from ops.models import Lane
from ops.operation import Operation
from ops.scope import Scope
from ops.sql.batch import Reach, compile_change
from ops.sql.compile import Compiled, Slot, compile_select
from ops.states import State


def retake(lane: Lane, sweep: int) -> bool:
    """Lock the lane again; whether it still stands where it was read, in that sweep. In a transaction.

    Raises Halted: while the lane was free, somebody may have cancelled the run and claimed its columns.
    """
    now = Lane.objects.select_for_update(no_key=True).get(pk=lane.pk)
    # Read after the lock, as a batch's beginning does.
    lane.run.refresh_from_db(fields=["state", "sweep"])
    if lane.run.state != State.RUNNING:
        raise Halted
    return not now.finished and (now.cursor, lane.run.sweep) == (lane.cursor, sweep)


class Halted(Exception):
    """The run is no longer running: somebody paused, cancelled or ended it."""


class Statements:
    """The statements of a run's batches, compiled once for each shape that their bounds take."""

    def __init__(self, operation: Operation, scope: Scope) -> None:
        self.operation, self.scope = operation, scope
        self._known: dict[tuple[Any, ...], Compiled | None] = {}

    def look_ahead(self, lane: Lane, rows: int, keys: int) -> Reach:
        """The span of the next ``keys`` keys, whether candidates or not; for one row, the next candidate."""
        ahead = self._once(lane, ("ahead", rows == 1), lambda: self._compile_ahead(lane, rows == 1))
        key = None
        if ahead is not None:
            bounds = {Slot.AFTER: lane.position, Slot.UPPER: lane.upper}
            with connection.cursor() as cursor:
                cursor.execute(ahead.sql, (*ahead.bind(bounds), 0 if rows == 1 else keys - 1))
                key = cursor.fetchone()
        if key is None:
            return Reach(rows, lane.upper, last=True)
        return Reach(rows, str(key[0]), last=False)

    def change(self, lane: Lane, one: bool, waits: bool) -> Compiled | None:
        """The statement of a batch; ``one`` changes the row that was seen ahead and no other."""
        return self._once(lane, ("change", one, waits), lambda: self._compile_change(lane, one, waits))

    def _compile_ahead(self, lane: Lane, only_candidates: bool) -> Compiled | None:
        rows: QuerySet[Any] = self.operation.model._base_manager.all()
        if only_candidates:
            rows = candidates(self.operation, self.scope, lane.run)
        ahead = compile_select(_within(lane, rows).order_by("pk").values_list("pk", flat=True))
        return ahead and Compiled(ahead.sql + " LIMIT 1 OFFSET %s", ahead.params)

    def _compile_change(self, lane: Lane, one: bool, waits: bool) -> Compiled | None:
        rows = _within(lane, candidates(self.operation, self.scope, lane.run))
        rows = rows.filter(pk=Value(Slot.KEY)) if one else rows.filter(pk__lte=Value(Slot.KEY))
        locked = rows.select_for_update(skip_locked=not waits, no_key=True)
        return compile_change(self.operation, locked, by_place=not waits)

    def _once(
        self, lane: Lane, what: tuple[Any, ...], compile: Callable[[], Compiled | None]
    ) -> Compiled | None:
        shape = (*what, lane.run.sweep, lane.position is None, lane.upper is None)
        if shape not in self._known:
            self._known[shape] = compile()
        return self._known[shape]


def _within(lane: Lane, rows: QuerySet[Any]) -> QuerySet[Any]:
    after = None if lane.position is None else Value(Slot.AFTER)
    return between(rows, after, None if lane.upper is None else Value(Slot.UPPER))
