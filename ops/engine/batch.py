"""One batch: one short transaction that holds its lane, changes its rows and moves the cursor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import perf_counter
from typing import Any

from django.db import DatabaseError
from django.db.models import Exists, QuerySet

from ops.candidates import ahead_of, candidates
from ops.db import batch_transaction
from ops.engine.failures import LOCK_NOT_AVAILABLE, is_of_a_row, set_aside, sqlstate
from ops.engine.lane import look_ahead, retake, take
from ops.engine.size import BatchSize
from ops.exceptions import NeverShrinks, TooManyFailures
from ops.models import AuditLog, Failure, Lane, Run
from ops.operation import Operation
from ops.scope import Scope, key_text
from ops.sql.batch import Processed, Reach, Written, change_processed, change_set
from ops.sql.compile import row_version
from ops.sql.holder import holder_of
from ops.states import State

# The last sweeps wait for locked rows. Below deadlock_timeout (1 s), so that it is always the engine that
# yields to the player.
WAITING_SWEEP, LAST_SWEEP = 3, 6
LOCK_TIMEOUT = timedelta(milliseconds=500)


class Halted(Exception):
    """The run is no longer running: somebody paused, cancelled or ended it."""


@dataclass
class Batches:
    """Advances a run batch by batch, on whichever of its lanes is free."""

    run: Run
    operation: Operation
    scope: Scope
    size: BatchSize
    lane: Lane | None = None
    reach: Reach | None = field(default=None, init=False)
    failed: bool = field(default=False, init=False)

    def advance(self) -> int | None:
        """Do one batch; the number of rows changed, or None when no unfinished lane was free.

        Raises Halted, NeverShrinks, TooManyFailures, and every database error that is not a row's fault.
        """
        self.failed = False
        written = self._attempt()
        if self.failed:
            self._check_failures()
        return written

    def _attempt(self) -> int | None:
        began = perf_counter()
        try:
            written = self._process() if self.operation.is_per_row() else self._change()
        except DatabaseError as exc:
            self._blame(exc)
            return 0
        if written is None:
            return None
        self.size.learn(written.selected, timedelta(seconds=perf_counter() - began))
        return written.changed

    @property
    def _waits(self) -> bool:
        return self.run.sweep >= WAITING_SWEEP

    def _take(self) -> QuerySet[Any] | None:
        """Lock a lane and return its candidates within reach; None when no lane was free."""
        lane = take(self.run, self.lane.pk if self.lane else None)
        # Read after the lock: whoever pauses a run moves its state, then takes every lane.
        self.run.refresh_from_db(fields=["state", "sweep"])
        if self.run.state != State.RUNNING:
            raise Halted
        self.lane = lane
        if lane is None:
            return None
        lane.run = self.run
        rows = candidates(self.operation, self.scope, self.run)
        self.reach = look_ahead(lane, rows, 1 if self._waits else self.size.rows, self.size.keys)
        within = ahead_of(lane, rows)
        return within.filter(pk__lte=self.reach.key) if self.reach.key else within

    def _change(self) -> Written | None:
        with batch_transaction(self.run, LOCK_TIMEOUT):
            rows = self._take()
            if rows is None or self.lane is None or self.reach is None:
                return None
            locking = rows.select_for_update(skip_locked=not self._waits, no_key=True)
            written = change_set(self.operation, locking, self.lane, self.reach)
            self._check_shrinks(rows, written)
            return written

    def _process(self) -> Written | None:
        with batch_transaction(self.run, LOCK_TIMEOUT):
            within = self._take()
            if within is None or self.lane is None or self.reach is None:
                return None
            versioned = within.annotate(row_version_=row_version(self.operation.model))
            rows = list(versioned.order_by("pk")[: self.reach.limit])
        results = self.operation.process(rows) if rows else {}
        with batch_transaction(self.run, LOCK_TIMEOUT):
            if not retake(self.lane):  # A twin was faster, and has written the same.
                return Written(0, 0)
            return self._write(within, rows, results)

    def _write(self, within: QuerySet[Any], rows: list[Any], results: Mapping[Any, Any]) -> Written:
        assert self.lane and self.reach  # noqa: S101, PT018
        full = len(rows) == self.reach.limit
        silent = ValueError("process() returned nothing for this row")
        told = {row.pk: results.get(row.pk) or silent for row in rows}
        for pk, result in told.items():
            if isinstance(result, Exception):
                self._set_aside(self.lane, str(pk), str(result) or type(result).__name__)
        processed = [
            Processed(row.pk, row.row_version_, values)
            for row in rows
            if not isinstance(values := told[row.pk], Exception)
        ]
        key = str(rows[-1].pk) if full else self.reach.key
        reach = Reach(len(rows) + 1, key, last=self.reach.last and not full)
        written = change_processed(self.operation, processed, self.lane, reach)
        self._check_shrinks(within, written)
        return replace(written, selected=len(rows))

    def _check_shrinks(self, rows: QuerySet[Any], written: Written) -> None:
        """After a lane's first batch, while its rows are locked: none of them may still match."""
        assert self.lane is not None  # noqa: S101
        if self.lane.batches or not written.changed:
            return
        changed = AuditLog.objects.filter(run=self.run, object_id=key_text())
        if still := rows.filter(Exists(changed)).values_list("pk", flat=True).first():
            raise NeverShrinks(
                f"{self.operation.name} changed row {still}, which still matches get_queryset(), so the run"
                " would never end. Let get_queryset() leave out what get_changes() sets. Nothing was changed"
            )

    def _blame(self, error: DatabaseError) -> None:
        """A batch that failed on its data is tried again in smaller ones, down to the row at fault."""
        if self._waits and sqlstate(error) == LOCK_NOT_AVAILABLE:
            self._pass_over(self._holder() if self.run.sweep >= LAST_SWEEP else None)
        elif not is_of_a_row(error) or self._looks_at_no_row:
            raise error
        elif self._waits or not self.size.suspect():
            self._pass_over(str(error).strip())

    @property
    def _looks_at_no_row(self) -> bool:
        """The statement fails whatever the rows are, such as a constant that its column cannot hold."""
        return self.reach is not None and self.reach.limit == 1 and self.reach.last

    def _holder(self) -> str:
        key = self.reach and self.reach.key
        return holder_of(self.operation.model, key) if key else ""

    def _pass_over(self, reason: str | None) -> None:
        """Let the cursor pass a row that could not be changed; with a reason, it is recorded as failed."""
        with batch_transaction(self.run, LOCK_TIMEOUT):
            if self.lane is None or self.reach is None or not retake(self.lane):
                return
            if reason is not None:
                self._set_aside(self.lane, self.reach.key, reason)
            else:
                Lane.objects.filter(pk=self.lane.pk).update(cursor=self.reach.key)

    def _set_aside(self, lane: Lane, pk: str | None, error: str) -> None:
        set_aside(lane, pk, error)
        self.failed = True

    def _check_failures(self) -> None:
        most, failed = self.run.max_failures, Failure.objects.filter(run=self.run).count()
        if most is not None and failed > most:
            raise TooManyFailures(
                f"{failed} rows failed, {most} were allowed. To see them: manage.py runs show {self.run.pk}"
            )
