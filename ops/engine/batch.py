"""One batch: one short transaction that holds its lane, changes its rows and moves the cursor."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import perf_counter
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Exists, QuerySet
from django.db.models.functions import Now

from ops.command_lines import manage_command
from ops.db import batch_transaction
from ops.engine.batch_size import BatchSize
from ops.engine.bisect import Bisection
from ops.engine.failures import check_failure_limit, check_unchanged_limit, record_failure, unchanged_reason
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
from ops.events import log_event, process_name
from ops.exceptions import NonTerminating, TooManyFailures
from ops.models import AuditLog, Lane, Run
from ops.operations.base import Operation
from ops.operations.candidates import build_keyset, candidates
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
    """Advances a run batch by batch, on whichever of its lanes is free."""

    run: Run
    operation: Operation
    scope: Scope
    size: BatchSize
    plan: BatchPlan | None = field(default=None, init=False)
    has_new_failures: bool = field(default=False, init=False)
    # Seconds of a batch without its COMMIT, which a slow disk or standby makes no shorter for fewer rows.
    elapsed: float = field(default=0.0, init=False)
    started: float = field(default=0.0, init=False)
    # Rows in a row for each of which process() raised.
    consecutive_raises: int = field(default=0, init=False)
    # Rows in a row that the database left as they were, without an error.
    consecutive_unchanged: int = field(default=0, init=False)
    next_failure_log: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        self.keyset = build_keyset(self.operation, self.scope, self.run)
        self.statements = StatementCache(self.operation, self.scope, self.keyset)
        self.bisection = Bisection(self.keyset, self.size)
        self.locks = LockPolicy(self.run, self.size, self._may_use_merge())

    def advance(self) -> int | None:
        """Do one batch; the number of rows changed, or None when no unfinished lane was free.

        Raises Halted, NeverShrinks, TooManyFailures, and every database error that is not a row's fault.
        """
        self.has_new_failures = False
        written = self._execute()
        if self.has_new_failures:
            self._check_failures()
        return written

    def _may_use_merge(self) -> bool:
        lists = (self.operation.key_list, self.scope.key_list(self.run))
        return (
            not self.operation.is_per_row()
            and not has_subquery(self.operation)
            and None in lists  # MERGE has one source
            and may_merge(self.operation.model)
        )

    def _execute(self) -> int | None:
        self.started = perf_counter()
        try:
            written = self._execute_process() if self.operation.is_per_row() else self._execute_change()
        except DatabaseError as exc:
            if self.plan is None:
                raise
            self._handle_error(exc, self.plan)
            return 0
        except ProcessFailed as exc:
            self._handle_process_failure(exc)
            return 0
        if written is None:
            return None
        self.locks.record_success()
        self.consecutive_unchanged = 0 if written.changed else self.consecutive_unchanged
        if self.plan:
            self.plan.lane.cursor = written.cursor
        self.size.adapt(written.selected, timedelta(seconds=self.elapsed))
        self.bisection.record_success()
        return written.changed

    def _plan_batch(self) -> BatchPlan | None:
        """Lock a lane and look ahead in it; None when no lane was free. In a transaction."""
        left, self.plan = self.plan.lane if self.plan else None, None
        # In the same message as the lock, as if the lane stood where this process left it: it mostly does.
        span = (
            self.statements.key_span_statement(left, self.size.keys) if left and self.size.rows > 1 else None
        )
        way = self.locks.mode
        lane, seen = lock_lane(self.run, left, self.locks.batch_lock_timeout, span)
        if self.run.state != State.RUNNING:
            raise RunHalted
        if lane is None or self.locks.mode is not way:  # The last sweep has begun meanwhile.
            return None
        before = (
            None
            if self.locks.is_last_sweep
            else self.bisection.bounds_before_reported_key(lambda: self._remaining_in(lane))
        )
        rows = 1 if self.locks.is_last_sweep else self.size.rows
        if before:
            ahead = before
        elif span and left and rows > 1 and (lane.pk, lane.position) == (left.pk, left.position):
            ahead = batch_bounds(lane, rows, seen)
        else:
            ahead = self.statements.read_next_bounds(lane, rows, self.size.keys)
        self.plan = BatchPlan(lane, ahead, self.run.sweep, way)
        return self.plan

    def _remaining_in(self, lane: Lane, upper: str | None = None) -> QuerySet[Any]:
        """The candidates ahead in the lane, up to a key or to its end."""
        rows = candidates(self.operation, self.scope, self.run)
        return self.keyset.filter_range(rows, lane.position, lane.upper if upper is None else upper)

    def _planned_rows(self, stretch: BatchPlan) -> QuerySet[Any]:
        """The candidates within the stretch."""
        if stretch.is_single:
            return self.keyset.filter_key(self._remaining_in(stretch.lane), stretch.bounds.key)
        return self._remaining_in(stretch.lane, stretch.bounds.key)

    def _execute_change(self) -> BatchResult | None:
        with transaction.atomic(durable=True):
            stretch = self._plan_batch()
            if stretch is None:
                return None
            if stretch.lock_mode is LockMode.WAIT:
                self._lock_row(stretch)
            statement = self.statements.change_statement(stretch.lane, stretch.is_single, stretch.lock_mode)
            written = execute_change(
                statement, self.operation, stretch.lane, stretch.bounds, stretch.lock_mode
            )
            self._check_result(stretch, written)
            self.elapsed = perf_counter() - self.started
            return written

    def _lock_row(self, stretch: BatchPlan) -> None:
        """Lock the row that was seen ahead by a statement of its own: the next one sees it as it then is."""
        if stretch.is_single:
            rows = self.operation.model._base_manager.select_for_update(no_key=True)
            rows.filter(pk=stretch.bounds.key).values_list("pk").first()

    def _execute_process(self) -> BatchResult | None:
        with transaction.atomic(durable=True):
            stretch = self._plan_batch()
            if stretch is None:
                return None
            versioned = self._planned_rows(stretch).annotate(row_version_=row_version(self.operation.model))
            rows = list(versioned.order_by(self.keyset.order_key)[: stretch.bounds.limit])
            # No lock is held from here on: others look for the lane that was left alone for the longest.
            Lane.objects.filter(pk=stretch.lane.pk).update(heartbeat_at=Now())
        answers = process_rows(self.operation, rows)
        self.consecutive_raises = 0
        with batch_transaction(stretch.lane, self.locks.row_lock_timeout):
            if not relock_lane(stretch.lane, stretch.sweep):  # A twin was faster, and has written the same.
                self.plan = None  # and has this lane
                return BatchResult(0, 0)
            written = self._write_results(stretch, rows, answers)
            self.elapsed = perf_counter() - self.started
            return written

    def _write_results(self, stretch: BatchPlan, rows: list[Any], answers: ProcessResults) -> BatchResult:
        for key, reason in answers.failures.items():
            self._record_failure(stretch.lane, key, reason)
        full = len(rows) == stretch.bounds.limit
        reach = replace(stretch.bounds, limit=len(rows) + 1)
        if full:
            reach = replace(reach, key=str(rows[-1].pk), is_lane_end=False)
        written = write_process_results(
            self.operation, answers.documents, stretch.lane, reach, self.locks.is_last_sweep
        )
        written = replace(written, selected=len(answers.documents))
        self._check_result(stretch, written, rows)
        return replace(written, selected=len(rows))

    def _check_result(self, stretch: BatchPlan, written: BatchResult, read: Sequence[Any] = ()) -> None:
        """What a batch may not leave behind, looked at while its rows are locked."""
        if written.changed and not stretch.lane.changed:
            self._check_terminates(self._planned_rows(stretch), read)
        waited = self.locks.is_last_sweep and stretch.is_single
        if waited and not written.changed and self._planned_rows(stretch).exists():
            self.consecutive_unchanged += 1
            self._record_failure(stretch.lane, str(stretch.bounds.key), unchanged_reason(written.selected))

    def _check_terminates(self, rows: QuerySet[Any], read: Sequence[Any]) -> None:
        """After the first rows that a lane changed: none of them may still match, as it was read."""
        changed = AuditLog.objects.filter(run=self.run, object_id=outer_pk_text())
        still = rows.filter(Exists(changed)).first()
        if still is not None and not _inputs_changed(still, read, rows.query.annotation_select):
            raise NonTerminating(
                f"{self.operation.name} changed row {still.pk}, which still matches get_queryset(): the run"
                " would never end. Let get_queryset() leave out what get_changes() sets. Nothing was changed"
            )

    def _handle_error(self, error: DatabaseError, stretch: BatchPlan) -> None:
        """A batch that failed on its data, or lost a lock, is tried again smaller, down to one row."""
        lost = sqlstate(error) in RETRYABLE
        if stretch.is_empty or not (lost or is_row_error(error)):
            raise error
        if stretch.lock_mode is LockMode.MERGE and sqlstate(error) == LOCK_NOT_AVAILABLE:
            self.locks.record_locked_row()
            return
        if lost and self.locks.should_retry(sqlstate(error)):
            raise error
        if self.locks.is_last_sweep or not self.bisection.narrow(error, stretch.bounds.limit):
            self._skip_row(stretch, self._failure_reason(error, stretch, lost))

    def _handle_process_failure(self, error: ProcessFailed) -> None:
        """Rows for which process() raised are processed again, fewer of them, down to one."""
        if self.plan and not self.size.bisect(len(error.rows)):
            self.consecutive_raises += 1
            alone = replace(self.plan.bounds, key=str(error.rows[0].pk))
            self._skip_row(replace(self.plan, bounds=alone), str(error))

    def _failure_reason(self, error: DatabaseError, stretch: BatchPlan, lost: bool) -> str | None:
        """Why the row is set aside; None where a later sweep may still have it."""
        if not lost:
            return str(error).strip()
        self.locks.lock_timeouts += 1
        return (
            describe_blocking_session(self.operation.model, str(stretch.bounds.key))
            if self.locks.is_last_sweep
            else None
        )

    def _skip_row(self, stretch: BatchPlan, reason: str | None) -> None:
        """Let the cursor pass a row that could not be changed; with a reason, it is recorded as failed."""
        with batch_transaction(stretch.lane, self.locks.row_lock_timeout):
            if not relock_lane(stretch.lane, stretch.sweep):
                return
            if reason is not None:
                self._record_failure(stretch.lane, str(stretch.bounds.key), reason)
            else:
                Lane.objects.filter(pk=stretch.lane.pk).update(cursor=stretch.bounds.key)

    def _record_failure(self, lane: Lane, key: str, reason: str) -> None:
        record_failure(lane, key, reason)
        self.has_new_failures = True

    def _check_failures(self) -> None:
        most, failed = self.run.max_failures, self.run.failures.counted().count()
        if failed >= self.next_failure_log:  # the first, then ten, a hundred: a log is no list of rows
            self.next_failure_log = 10 * failed
            latest = self.run.failures.counted().latest("created_at", "pk").error.partition("\n")[0]
            log_event(
                self.run, "failing", logging.WARNING, rows=failed, latest=latest, process=process_name()
            )
        if most is not None and failed > most:
            raise TooManyFailures(
                f"{failed} rows failed, {most} were allowed."
                f" To see them: {manage_command('runs', 'show', self.run.pk)}"
            )
        check_failure_limit(self.run, failed, self.consecutive_raises)
        check_unchanged_limit(self.run, self.consecutive_unchanged, self._count_remaining)

    def _count_remaining(self) -> int:
        return candidates(self.operation, self.scope, self.run).count()


def _inputs_changed(row: Any, read: Sequence[Any], annotations: Iterable[str]) -> bool:
    """Whether what the row was processed with, in another table, was changed while it was processed."""
    before = [old for old in read if old.pk == row.pk]
    return any(getattr(row, name) != getattr(old, name) for old in before for name in annotations)
