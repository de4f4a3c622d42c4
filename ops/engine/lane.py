"""A batch's plan: its lane, how far it may go in it, and the statements for both."""

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


class RunHalted(Exception):
    """The run is no longer running: it was halted, that is paused or cancelled, or it has ended."""


@dataclass(frozen=True)
class BatchPlan:
    """A lane that was locked in a certain sweep, how far the batch may go in it, and how it locks rows."""

    lane: Lane
    bounds: BatchBounds
    sweep: int
    lock_mode: LockMode

    @property
    def is_single(self) -> bool:
        """Whether the batch is one candidate, whose key is known."""
        return self.bounds.limit == 1 and not self.bounds.is_lane_end

    @property
    def is_empty(self) -> bool:
        """Whether the batch was to be one candidate, and the lane has no more."""
        return self.bounds.limit == 1 and self.bounds.is_lane_end


def relock_lane(lane: Lane, sweep: int) -> bool:
    """Lock the lane again; return whether its cursor and the sweep are still the same. In a transaction.

    Raises RunHalted: while the lane was free, the run may have been cancelled and its columns claimed anew.
    """
    stored = Lane.objects.select_for_update(no_key=True).get(pk=lane.pk)
    # Read after the lock, as a batch's beginning does.
    refresh_run(lane.run, fields=["state", "sweep"])
    if lane.run.state != State.RUNNING:
        raise RunHalted
    return not stored.finished and (stored.cursor, lane.run.sweep) == (lane.cursor, sweep)


class StatementCache:
    """The statements of a run's batches, compiled once for each combination of bounds."""

    def __init__(self, operation: Operation, scope: Scope, keyset: Keyset) -> None:
        self.operation, self.scope, self.keyset = operation, scope, keyset
        self._cache: dict[tuple[Any, ...], CompiledStatement | None] = {}

    def read_next_bounds(self, lane: Lane, rows: int, keys: int) -> BatchBounds:
        """Return the span of the next ``keys`` keys, candidates or not; for one row, the next candidate."""
        lookahead = self.next_candidate_statement(lane) if rows == 1 else self.key_span_statement(lane, keys)
        if lookahead is None:
            return batch_bounds(lane, rows, None)
        with connection.cursor() as cursor:
            cursor.execute(lookahead.sql, lookahead.params)
            return batch_bounds(lane, rows, cursor.fetchone())

    def key_span_statement(self, lane: Lane, keys: int) -> CompiledStatement | None:
        """The SELECT of the last of the next ``keys`` keys."""
        return self._lookahead_statement(
            lane, "span", lambda: self.keyset.keys(*_lane_bound_params(lane)), offset=keys - 1
        )

    def next_candidate_statement(self, lane: Lane) -> CompiledStatement | None:
        """The SELECT of the next candidate's key."""

        def keys() -> QuerySet[Any]:
            rows = self.keyset.filter_range(
                candidates(self.operation, self.scope, lane.run), *_lane_bound_params(lane)
            )
            return rows.order_by(self.keyset.order_key).values_list("pk", flat=True)

        return self._lookahead_statement(lane, "candidate", keys, offset=0)

    def _lookahead_statement(
        self, lane: Lane, kind: str, keys: Callable[[], QuerySet[Any]], offset: int
    ) -> CompiledStatement | None:
        lookahead = self._compile_once(lane, (kind,), lambda: _compile_lookahead(keys()))
        bounds = {BoundParam.AFTER: lane.position, BoundParam.UPPER: lane.upper}
        return lookahead and CompiledStatement(lookahead.sql, (*lookahead.bind(bounds), offset))

    def change_statement(self, lane: Lane, is_single: bool, mode: LockMode) -> CompiledStatement | None:
        """The statement of a batch; ``is_single`` changes the row with the bounds' key and no other."""
        return self._compile_once(
            lane, ("change", is_single, mode), lambda: self._compile_change(lane, is_single, mode)
        )

    def _compile_change(self, lane: Lane, is_single: bool, mode: LockMode) -> CompiledStatement | None:
        after, upper = _lane_bound_params(lane)
        rows, key = candidates(self.operation, self.scope, lane.run), Value(BoundParam.KEY)
        if is_single:
            rows = self.keyset.filter_key(self.keyset.filter_range(rows, after, upper), key)
        else:
            rows = self.keyset.filter_range(rows, after, key)
        return compile_change(self.operation, rows, self.keyset, mode)

    def _compile_once(
        self, lane: Lane, kind: tuple[Any, ...], compile: Callable[[], CompiledStatement | None]
    ) -> CompiledStatement | None:
        cache_key = (*kind, lane.run.sweep, lane.position is None, lane.upper is None)
        if cache_key not in self._cache:
            self._cache[cache_key] = compile()
        return self._cache[cache_key]


def batch_bounds(lane: Lane, rows: int, last_key: tuple[Any, ...] | None) -> BatchBounds:
    """Return the bounds of a batch of so many rows; ``last_key`` is a look-ahead's row, None past the end."""
    return (
        BatchBounds(rows, lane.upper, is_lane_end=True)
        if last_key is None
        else BatchBounds(rows, str(last_key[0]), is_lane_end=False)
    )


def _compile_lookahead(keys: QuerySet[Any]) -> CompiledStatement | None:
    lookahead = compile_select(keys)
    return lookahead and CompiledStatement(lookahead.sql + " LIMIT 1 OFFSET %s", lookahead.params)


def _lane_bound_params(lane: Lane) -> tuple[Value | None, Value | None]:
    """Placeholders for the keys ``(after, upper]`` that are left in the lane; None for an open side."""
    after = None if lane.position is None else Value(BoundParam.AFTER)
    return after, None if lane.upper is None else Value(BoundParam.UPPER)
