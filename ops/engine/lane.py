"""Taking a lane and looking ahead in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Value

from ops.engine.statement import BatchBounds, LockMode, compile_change
from ops.models import Lane
from ops.operations.base import Operation
from ops.operations.candidates import candidates
from ops.operations.scope import Scope
from ops.runs.lifecycle import refresh_run
from ops.sql.compile import BoundParam, CompiledStatement, compile_select
from ops.sql.keyset import Keyset
from ops.states import State


def relock_lane(lane: Lane, sweep: int) -> bool:
    """Lock the lane again; whether it still stands where it was read, in that sweep. In a transaction.

    Raises Halted: while the lane was free, somebody may have cancelled the run and claimed its columns.
    """
    now = Lane.objects.select_for_update(no_key=True).get(pk=lane.pk)
    # Read after the lock, as a batch's beginning does.
    refresh_run(lane.run, fields=["state", "sweep"])
    if lane.run.state != State.RUNNING:
        raise RunHalted
    return not now.finished and (now.cursor, lane.run.sweep) == (lane.cursor, sweep)


class RunHalted(Exception):
    """The run is no longer running: somebody paused, cancelled or ended it."""


class StatementCache:
    """The statements of a run's batches, compiled once for each shape that their bounds take."""

    def __init__(self, operation: Operation, scope: Scope, keyset: Keyset) -> None:
        self.operation, self.scope, self.keyset = operation, scope, keyset
        self._cache: dict[tuple[Any, ...], CompiledStatement | None] = {}

    def read_next_bounds(self, lane: Lane, rows: int, keys: int) -> BatchBounds:
        """The span of the next ``keys`` keys, whether candidates or not; for one row, the next candidate."""
        ahead = self.next_candidate_statement(lane) if rows == 1 else self.key_span_statement(lane, keys)
        if ahead is None:
            return batch_bounds(lane, rows, None)
        with connection.cursor() as cursor:
            cursor.execute(ahead.sql, ahead.params)
            return batch_bounds(lane, rows, cursor.fetchone())

    def key_span_statement(self, lane: Lane, keys: int) -> CompiledStatement | None:
        """What finds the last of the next ``keys`` keys."""
        return self._lookahead_statement(
            lane, "span", lambda: self.keyset.keys(*_lane_bound_params(lane)), keys - 1
        )

    def next_candidate_statement(self, lane: Lane) -> CompiledStatement | None:
        """What finds the next candidate."""

        def rows() -> QuerySet[Any]:
            ahead = self.keyset.filter_range(
                candidates(self.operation, self.scope, lane.run), *_lane_bound_params(lane)
            )
            return ahead.order_by(self.keyset.order_key).values_list("pk", flat=True)

        return self._lookahead_statement(lane, "candidate", rows, passed=0)

    def _lookahead_statement(
        self, lane: Lane, what: str, keys: Callable[[], QuerySet[Any]], passed: int
    ) -> CompiledStatement | None:
        ahead = self._compile_once(lane, (what,), lambda: _compile_lookahead(keys()))
        bounds = {BoundParam.AFTER: lane.position, BoundParam.UPPER: lane.upper}
        return ahead and CompiledStatement(ahead.sql, (*ahead.bind(bounds), passed))

    def change_statement(self, lane: Lane, one: bool, way: LockMode) -> CompiledStatement | None:
        """The statement of a batch; ``one`` changes the row that was seen ahead and no other."""
        return self._compile_once(lane, ("change", one, way), lambda: self._compile_change(lane, one, way))

    def _compile_change(self, lane: Lane, one: bool, way: LockMode) -> CompiledStatement | None:
        after, upper = _lane_bound_params(lane)
        rows, key = candidates(self.operation, self.scope, lane.run), Value(BoundParam.KEY)
        if one:
            rows = self.keyset.filter_key(self.keyset.filter_range(rows, after, upper), key)
        else:
            rows = self.keyset.filter_range(rows, after, key)
        return compile_change(self.operation, rows, self.keyset, way)

    def _compile_once(
        self, lane: Lane, what: tuple[Any, ...], compile: Callable[[], CompiledStatement | None]
    ) -> CompiledStatement | None:
        shape = (*what, lane.run.sweep, lane.position is None, lane.upper is None)
        if shape not in self._cache:
            self._cache[shape] = compile()
        return self._cache[shape]


def batch_bounds(lane: Lane, rows: int, seen: tuple[Any, ...] | None) -> BatchBounds:
    """How far a batch of so many rows may go, by what a look ahead has seen: nothing is the lane's end."""
    return (
        BatchBounds(rows, lane.upper, is_lane_end=True)
        if seen is None
        else BatchBounds(rows, str(seen[0]), is_lane_end=False)
    )


def _compile_lookahead(keys: QuerySet[Any]) -> CompiledStatement | None:
    ahead = compile_select(keys)
    return ahead and CompiledStatement(ahead.sql + " LIMIT 1 OFFSET %s", ahead.params)


def _lane_bound_params(lane: Lane) -> tuple[Value | None, Value | None]:
    """Slots for what the lane has before it."""
    after = None if lane.position is None else Value(BoundParam.AFTER)
    return after, None if lane.upper is None else Value(BoundParam.UPPER)


@dataclass(frozen=True)
class BatchPlan:
    """What a batch has before it: its lane, and how far it may go."""

    lane: Lane
    bounds: BatchBounds
    sweep: int
    lock_mode: LockMode

    @property
    def is_single(self) -> bool:
        """It is a single candidate, seen ahead."""
        return self.bounds.limit == 1 and not self.bounds.is_lane_end

    @property
    def is_empty(self) -> bool:
        """A single candidate was looked for, and none found."""
        return self.bounds.limit == 1 and self.bounds.is_lane_end
