"""Execute batches: each is one short transaction that locks a lane, changes rows and moves the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import perf_counter
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Exists, QuerySet
from django.db.models.functions import Now

from ops.db import batch_transaction
from ops.engine.batch_size import BatchSize
from ops.engine.bisect import Bisection
from ops.engine.failures import FailureTracker, unchanged_reason
from ops.engine.lane import BatchPlan, RunHalted, StatementCache, batch_bounds, relock_lane
from ops.engine.locks import LockPolicy
from ops.engine.process_results import ProcessFailed, ProcessResults, process_rows
from ops.engine.statement import (
    BatchResult,
    LockMode,
    execute_change,
    may_merge,
    write_process_results,
)
from ops.exceptions import NonTerminating
from ops.models import AuditLog, Lane, Run
from ops.operations.base import Operation
from ops.operations.candidates import build_keyset, candidates
from ops.operations.compiler import written_fields
from ops.operations.scope import Scope
from ops.operations.validation import has_subquery
from ops.sql.blocking import describe_blocking_session
from ops.sql.compile import row_version
from ops.sql.keys import outer_pk_text
from ops.sql.lane_lock import lock_lane
from ops.sqlstates import LOCK_NOT_AVAILABLE, RETRYABLE, is_row_error, sqlstate
from ops.states import State


@dataclass
class BatchExecutor:
    """Advance a run batch by batch, in whichever of its lanes is free.

    How one batch is exact:

    1. Lock an unfinished lane, then read the run's state (`lock_lane`). Two processes never work in the same
       lane, and a pause or a cancel waits for the lanes that are locked.
    2. Look ahead (`_plan_batch`): find the last of the next keys, so that the statement has bounds.
    3. Execute one statement (`execute_change`): it locks the candidates within the bounds, changes them,
       inserts their audit rows and moves the lane's cursor. See Note [Lock modes of a batch].
    4. Check the result while the rows are locked (`_check_result`): in the lane's first batch no changed row
       may still match; in the last sweep a row that was not changed is recorded as failed.
    5. Commit: either all of it is stored, or none. The next process to lock the lane continues at its cursor.
    6. After a database error nothing is stored (`_handle_error`): the next batch is smaller, or locks rows in
       another mode; a row that fails alone is recorded as failed, and the cursor moves past it.

    An operation with ``process()`` reads its rows in the transaction of steps 1 and 2, processes them outside
    any transaction, and locks the lane again for steps 3 to 5. It writes no row that was changed meanwhile.
    """

    run: Run
    operation: Operation
    scope: Scope
    size: BatchSize
    plan: BatchPlan | None = field(default=None, init=False)
    # Seconds of a batch; excludes COMMIT, whose latency does not depend on the batch size.
    elapsed: float = field(default=0.0, init=False)
    started: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.keyset = build_keyset(self.operation, self.scope, self.run)
        self.statements = StatementCache(self.operation, self.scope, self.keyset)
        self.bisection = Bisection(self.keyset, self.size)
        self.locks = LockPolicy(self.run, self.size, self._may_use_merge())
        self.failures = FailureTracker(self.run)

    def execute_batch(self) -> int | None:
        """Execute one batch; return the number of rows changed, or None if no unfinished lane was free.

        Raises RunHalted, NonTerminating, TooManyFailures, AllRowsFailed, and database errors not caused by
        a row's data or locks.
        """
        self.failures.has_new = False
        changed = self._execute()
        if self.failures.has_new:
            self.failures.check(self._count_remaining)
        return changed

    def _may_use_merge(self) -> bool:
        key_lists = (self.operation.key_list, self.scope.key_list(self.run))
        return (
            not self.operation.is_per_row()
            and not has_subquery(self.operation)
            and None in key_lists  # MERGE can join at most one key list
            and may_merge(self.operation.model)
        )

    def _execute(self) -> int | None:
        self.started = perf_counter()
        try:
            result = self._execute_process() if self.operation.is_per_row() else self._execute_change()
        except DatabaseError as exc:
            if self.plan is None:
                raise
            self._handle_error(exc, self.plan)
            return 0
        except ProcessFailed as exc:
            self._handle_process_failure(exc)
            return 0
        if result is None:
            return None
        self.locks.record_success()
        if result.changed:
            self.failures.consecutive_unchanged = 0
        if self.plan:
            self.plan.lane.cursor = result.cursor
        self.size.adapt(result.selected, timedelta(seconds=self.elapsed))
        self.bisection.record_success()
        return result.changed

    def _plan_batch(self) -> BatchPlan | None:
        """Lock a lane and look ahead in it; return None if no lane was free. In a transaction."""
        previous, self.plan = self.plan.lane if self.plan else None, None
        # Sent in the same message as the lock, for the cursor as this process left it: it is mostly the same.
        lookahead = None
        if previous and self.size.rows > 1:
            lookahead = self.statements.key_span_statement(previous, self.size.keys)
        mode = self.locks.mode
        lane, last_key = lock_lane(self.run, previous, self.locks.batch_lock_timeout, lookahead)
        if self.run.state != State.RUNNING:
            raise RunHalted
        if lane is None or self.locks.mode is not mode:  # The last sweep has begun meanwhile.
            return None
        bounds = None
        if not self.locks.is_last_sweep:
            bounds = self.bisection.bounds_before_reported_key(lambda: self._remaining_in(lane))
        rows = 1 if self.locks.is_last_sweep else self.size.rows
        is_lookahead_valid = previous and (lane.pk, lane.position) == (previous.pk, previous.position)
        if bounds is None and lookahead and is_lookahead_valid and rows > 1:
            bounds = batch_bounds(lane, rows, last_key)
        bounds = bounds or self.statements.read_next_bounds(lane, rows, self.size.keys)
        self.plan = BatchPlan(lane, bounds, self.run.sweep, mode)
        return self.plan

    def _remaining_in(self, lane: Lane, upper: str | None = None) -> QuerySet[Any]:
        """The candidates after the lane's cursor, up to a key or to the lane's end."""
        rows = candidates(self.operation, self.scope, self.run)
        return self.keyset.filter_range(rows, lane.position, lane.upper if upper is None else upper)

    def _planned_rows(self, plan: BatchPlan) -> QuerySet[Any]:
        """The candidates within the plan's bounds."""
        if plan.is_single:
            return self.keyset.filter_key(self._remaining_in(plan.lane), plan.bounds.key)
        return self._remaining_in(plan.lane, plan.bounds.key)

    def _execute_change(self) -> BatchResult | None:
        with transaction.atomic(durable=True):
            plan = self._plan_batch()
            if plan is None:
                return None
            if plan.lock_mode is LockMode.WAIT:
                self._lock_row(plan)
            statement = self.statements.change_statement(plan.lane, plan.is_single, plan.lock_mode)
            result = execute_change(statement, self.operation, plan.lane, plan.bounds, plan.lock_mode)
            self._check_result(plan, result)
            self.elapsed = perf_counter() - self.started
            return result

    def _lock_row(self, plan: BatchPlan) -> None:
        """Lock the single row by a statement of its own, so that the next one's snapshot is newer."""
        if plan.is_single:
            rows = self.operation.model._base_manager.select_for_update(no_key=True)
            rows.filter(pk=plan.bounds.key).values_list("pk").first()

    def _execute_process(self) -> BatchResult | None:
        with transaction.atomic(durable=True):
            plan = self._plan_batch()
            if plan is None:
                return None
            versioned = self._planned_rows(plan).annotate(row_version_=row_version(self.operation.model))
            rows = list(versioned.order_by(self.keyset.order_key)[: plan.bounds.limit])
            # The lane is not locked from here on: others take the lane whose heartbeat is the oldest.
            Lane.objects.filter(pk=plan.lane.pk).update(heartbeat_at=Now())
        results = process_rows(self.operation, rows)
        self.failures.consecutive_process_errors = 0
        with batch_transaction(plan.lane, self.locks.row_lock_timeout):
            if not relock_lane(plan.lane, plan.sweep):
                self.plan = None  # Another process has written the same batch, and works in this lane.
                return BatchResult(0, 0)
            result = self._write_results(plan, rows, results)
            self.elapsed = perf_counter() - self.started
            return result

    def _write_results(self, plan: BatchPlan, rows: list[Any], results: ProcessResults) -> BatchResult:
        for key, error in results.failures.items():
            self.failures.record(plan.lane, key, error)
        is_full = len(rows) == plan.bounds.limit
        bounds = replace(plan.bounds, limit=len(rows) + 1)
        if is_full:
            bounds = replace(bounds, key=str(rows[-1].pk), is_lane_end=False)
        documents, wait_for_locks = results.documents, self.locks.is_last_sweep
        result = write_process_results(self.operation, documents, plan.lane, bounds, wait_for_locks)
        self._check_result(plan, replace(result, selected=len(documents)), rows)
        return replace(result, selected=len(rows))

    def _check_result(self, plan: BatchPlan, result: BatchResult, rows_read: Sequence[Any] = ()) -> None:
        """Check the postconditions of the batch while its rows are locked.

        ``rows_read`` are the rows that process() was called with.
        """
        if result.changed and not plan.lane.changed:
            self._check_terminates(self._planned_rows(plan), rows_read)
        if not (self.locks.is_last_sweep and plan.is_single) or result.changed:
            return
        if self._planned_rows(plan).exists():
            self.failures.consecutive_unchanged += 1
            self.failures.record(plan.lane, str(plan.bounds.key), unchanged_reason(result.selected))

    def _check_terminates(self, rows: QuerySet[Any], rows_read: Sequence[Any]) -> None:
        """Raise NonTerminating if a row that the run changed still matches, and its inputs are unchanged."""
        changed = AuditLog.objects.filter(run=self.run, object_id=outer_pk_text())
        row = rows.filter(Exists(changed)).first()
        if row is not None and not _have_inputs_changed(row, rows_read, rows.query.annotation_select):
            fields = written_fields(self.operation)
            empty = [
                f" Its new {each.name} is NULL." for each in fields if getattr(row, each.attname) is None
            ]
            raise NonTerminating(
                f"{self.operation.name} changed row {row.pk}, which still matches get_queryset(): the run"
                f" would never end.{''.join(empty)} Make get_queryset() exclude rows that have the new"
                " values. Nothing was changed"
            )

    def _handle_error(self, error: DatabaseError, plan: BatchPlan) -> None:
        """Make the next batch smaller, or skip the only row of a one-row batch.

        Raises the error if the batch must be retried as it is, or if no row's data or lock caused it.
        """
        state = sqlstate(error)
        is_lock_error = state in RETRYABLE
        if plan.is_empty or not (is_lock_error or is_row_error(error)):
            raise error
        if plan.lock_mode is LockMode.MERGE and state == LOCK_NOT_AVAILABLE:
            self.locks.record_locked_row()
            return
        if is_lock_error and self.locks.should_retry(state):
            raise error
        if self.locks.is_last_sweep or not self.bisection.narrow(error, plan.bounds.limit):
            self._skip_row(plan, self._failure_reason(error, plan, is_lock_error))

    def _handle_process_failure(self, error: ProcessFailed) -> None:
        """Process fewer of the rows for which process() raised, or skip the only row of a one-row batch."""
        if self.plan and not self.size.bisect(len(error.rows)):
            self.failures.consecutive_process_errors += 1
            bounds = replace(self.plan.bounds, key=str(error.rows[0].pk))
            self._skip_row(replace(self.plan, bounds=bounds), str(error))

    def _failure_reason(self, error: DatabaseError, plan: BatchPlan, is_lock_error: bool) -> str | None:
        """Say why the row failed; None if it is left to a later sweep."""
        if not is_lock_error:
            return str(error).strip()
        self.locks.lock_timeouts += 1
        if not self.locks.is_last_sweep:
            return None
        return describe_blocking_session(self.operation.model, str(plan.bounds.key))

    def _skip_row(self, plan: BatchPlan, reason: str | None) -> None:
        """Move the cursor past a row that could not be changed; with a reason, record it as failed."""
        with batch_transaction(plan.lane, self.locks.row_lock_timeout):
            if not relock_lane(plan.lane, plan.sweep):
                return
            if reason is not None:
                self.failures.record(plan.lane, str(plan.bounds.key), reason)
            else:
                Lane.objects.filter(pk=plan.lane.pk).update(cursor=plan.bounds.key)

    def _count_remaining(self) -> int:
        return candidates(self.operation, self.scope, self.run).count()


def _have_inputs_changed(row: Any, rows_read: Sequence[Any], annotations: Iterable[str]) -> bool:
    """Whether an annotated value, which comes from another table, changed after process() had read it."""
    before = [old for old in rows_read if old.pk == row.pk]
    return any(getattr(row, name) != getattr(old, name) for old in before for name in annotations)
