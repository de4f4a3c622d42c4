"""Taking a lane and looking ahead in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Value

from ops.candidates import candidates
from ops.lost import refresh
from ops.models import Lane
from ops.operation import Operation
from ops.scope import Scope
from ops.sql.batch import Reach, Way, compile_change
from ops.sql.compile import Compiled, Slot, compile_select
from ops.sql.keyset import Keyset
from ops.states import State


def retake(lane: Lane, sweep: int) -> bool:
    """Lock the lane again; whether it still stands where it was read, in that sweep. In a transaction.

    Raises Halted: while the lane was free, somebody may have cancelled the run and claimed its columns.
    """
    now = Lane.objects.select_for_update(no_key=True).get(pk=lane.pk)
    # Read after the lock, as a batch's beginning does.
    refresh(lane.run, fields=["state", "sweep"])
    if lane.run.state != State.RUNNING:
        raise Halted
    return not now.finished and (now.cursor, lane.run.sweep) == (lane.cursor, sweep)


class Halted(Exception):
    """The run is no longer running: somebody paused, cancelled or ended it."""


class Statements:
    """The statements of a run's batches, compiled once for each shape that their bounds take."""

    def __init__(self, operation: Operation, scope: Scope, keyset: Keyset) -> None:
        self.operation, self.scope, self.keyset = operation, scope, keyset
        self._known: dict[tuple[Any, ...], Compiled | None] = {}

    def look_ahead(self, lane: Lane, rows: int, keys: int) -> Reach:
        """The span of the next ``keys`` keys, whether candidates or not; for one row, the next candidate."""
        ahead = self.candidate(lane) if rows == 1 else self.span(lane, keys)
        if ahead is None:
            return reach(lane, rows, None)
        with connection.cursor() as cursor:
            cursor.execute(ahead.sql, ahead.params)
            return reach(lane, rows, cursor.fetchone())

    def span(self, lane: Lane, keys: int) -> Compiled | None:
        """What finds the last of the next ``keys`` keys."""
        return self._ahead(lane, "span", lambda: self.keyset.keys(*_bounds(lane)), keys - 1)

    def candidate(self, lane: Lane) -> Compiled | None:
        """What finds the next candidate."""

        def rows() -> QuerySet[Any]:
            ahead = self.keyset.between(candidates(self.operation, self.scope, lane.run), *_bounds(lane))
            return ahead.order_by(self.keyset.order).values_list("pk", flat=True)

        return self._ahead(lane, "candidate", rows, passed=0)

    def _ahead(
        self, lane: Lane, what: str, keys: Callable[[], QuerySet[Any]], passed: int
    ) -> Compiled | None:
        ahead = self._once(lane, (what,), lambda: _compile_ahead(keys()))
        bounds = {Slot.AFTER: lane.position, Slot.UPPER: lane.upper}
        return ahead and Compiled(ahead.sql, (*ahead.bind(bounds), passed))

    def change(self, lane: Lane, one: bool, way: Way) -> Compiled | None:
        """The statement of a batch; ``one`` changes the row that was seen ahead and no other."""
        return self._once(lane, ("change", one, way), lambda: self._compile_change(lane, one, way))

    def _compile_change(self, lane: Lane, one: bool, way: Way) -> Compiled | None:
        after, upper = _bounds(lane)
        rows, key = candidates(self.operation, self.scope, lane.run), Value(Slot.KEY)
        if one:
            rows = self.keyset.one(self.keyset.between(rows, after, upper), key)
        else:
            rows = self.keyset.between(rows, after, key)
        return compile_change(self.operation, rows, self.keyset, way)

    def _once(
        self, lane: Lane, what: tuple[Any, ...], compile: Callable[[], Compiled | None]
    ) -> Compiled | None:
        shape = (*what, lane.run.sweep, lane.position is None, lane.upper is None)
        if shape not in self._known:
            self._known[shape] = compile()
        return self._known[shape]


def reach(lane: Lane, rows: int, seen: tuple[Any, ...] | None) -> Reach:
    """How far a batch of so many rows may go, by what a look ahead has seen: nothing is the lane's end."""
    return Reach(rows, lane.upper, last=True) if seen is None else Reach(rows, str(seen[0]), last=False)


def _compile_ahead(keys: QuerySet[Any]) -> Compiled | None:
    ahead = compile_select(keys)
    return ahead and Compiled(ahead.sql + " LIMIT 1 OFFSET %s", ahead.params)


def _bounds(lane: Lane) -> tuple[Value | None, Value | None]:
    """Slots for what the lane has before it."""
    after = None if lane.position is None else Value(Slot.AFTER)
    return after, None if lane.upper is None else Value(Slot.UPPER)
