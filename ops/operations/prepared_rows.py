"""Rows that a run creates or deletes before its first batch: those of a change set, and of its revert."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial

from django.db.models import F, Model
from django.db.models.functions import Now

from ops.bulk_load import LOCK_TIMEOUT, retry_on_lock
from ops.db import set_lock_timeout, without_timeouts
from ops.formatting import format_row_count
from ops.models import Lane, Run
from ops.operations import registry
from ops.sql.created_rows import RowList
from ops.sql.dual_write import dual_writes_off
from ops.sql.keylist import KeyList
from ops.states import COMPLETED, State

# Return the last entry that was looked at, None after the last, and how many rows were written.
_Batch = Callable[[int], tuple[int | None, int]]
_TWIN_POLL_INTERVAL = timedelta(milliseconds=100)


class _TwinWrites(Exception):
    """Another process writes a batch of this run now."""


@dataclass(frozen=True)
class PreparedRows:
    """The entries of ``key_list`` that create rows: a run creates them, and a revert deletes them again.

    A revert also creates again the rows that the run deleted. Each batch is one transaction with its audit
    rows and the counter of the first lane, whose lock lets twins wait for each other: without a limit, since
    a batch may take longer than what waits for a player may.
    """

    model: type[Model]
    key_list: KeyList
    is_revert: bool = False

    def count_created(self, run: Run | None = None) -> int:
        """Count the rows that the run, or a new one, has still to create."""
        return replace(self._to_create, run=run).count_creatable()

    def count_deleted(self, run: Run | None = None) -> int:
        """Count the rows that the run, or a new one, has still to delete: nobody has changed them since."""
        return len(replace(self._to_delete, run=run).find_unchanged(self._derived)) if self.is_revert else 0

    def count(self, run: Run | None = None) -> int:
        return self.count_created(run) + self.count_deleted(run)

    def find_deletable(self, keys: list[str]) -> set[str]:
        """Return those of the keys whose rows a revert would delete now."""
        return set(self._to_delete.find_unchanged(self._derived, keys)) if self.is_revert else set()

    def iter_notes(self, run: Run | None) -> Iterator[str]:
        """Yield how many rows a preview (without a run) or the run creates and deletes, and how many not."""
        if self.is_revert:
            yield from self._describe(self._to_delete, run, "deleted", "changed, used or deleted since")
        why = "there already, or others have their unique values"
        yield from self._describe(self._to_create, run, "created", why)

    def _describe(self, rows: RowList, run: Run | None, done: str, why: str) -> Iterator[str]:
        listed = rows.count_listed()
        if not listed:
            return
        if run is None:
            count = rows.count_creatable() if rows is self._to_create else self.count_deleted()
            yield f"{format_row_count(self.model, count)} will be {done}."
        else:
            count = rows.count_written(run)
            yield f"{format_row_count(self.model, count)} {_were(count)} {done}."
        if (left := listed - count) and (run is None or run.state in COMPLETED):
            end = "will not be" if run is None else f"{_were(left)} not"
            they_are = "it is" if left == 1 else "they are"
            yield f"{format_row_count(self.model, left)} {end} {done}: {they_are} {why}."

    @cached_property
    def is_empty(self) -> bool:
        lists = [self._to_create, self._to_delete] if self.is_revert else [self._to_create]
        return not any(each.count_listed() for each in lists)

    def write(self, run: Run) -> Iterator[int]:
        """Create and delete what is left to, until the run is halted; yield the rows of each batch.

        Raises LoadBlocked, LoadRejected.
        """
        if self.is_revert and self._to_delete.count_listed():
            delete = partial(replace(self._to_delete, run=run).delete_batch, derived=self._derived)
            yield from self._write_all(run, delete)
        if self._to_create.count_listed():
            yield from self._write_all(run, replace(self._to_create, run=run).create_batch)

    @cached_property
    def _to_create(self) -> RowList:
        return RowList(self.model, self.key_list, "old" if self.is_revert else "new")

    @cached_property
    def _to_delete(self) -> RowList:
        return RowList(self.model, self.key_list, "new")

    @cached_property
    def _derived(self) -> frozenset[str]:
        """Columns that follow-ups compute from others: what they write is no change by a person."""
        followups = [each for each in registry.iter_operations_with_example() if each.depends_on]
        return frozenset(name for each in followups if each.model is self.model for name in each.columns)

    def _write_all(self, run: Run, batch: _Batch) -> Iterator[int]:
        after: int | None = 0
        while after is not None and Run.objects.filter(pk=run.pk, state=State.RUNNING).exists():
            try:
                after, count = self._write_batch(run, batch, after)
            except _TwinWrites:
                time.sleep(_TWIN_POLL_INTERVAL.total_seconds())
                count = 0
            yield count

    def _write_batch(self, run: Run, batch: _Batch, after: int) -> tuple[int | None, int]:
        def work() -> tuple[int | None, int]:
            begun = time.monotonic()
            set_lock_timeout(LOCK_TIMEOUT)
            lane = _lock_first_lane(run)
            # What a revert creates again comes back as it was.
            with dual_writes_off() if self.is_revert else nullcontext():
                last, count = batch(after)
            if lane is not None:
                busy = timedelta(seconds=time.monotonic() - begun)
                Lane.objects.filter(pk=lane.pk).update(
                    changed=F("changed") + count,
                    batches=F("batches") + 1,
                    busy=F("busy") + busy,
                    heartbeat_at=Now(),
                )
            return last, count

        with without_timeouts():
            return retry_on_lock(work, _blocked_message(self.model))


def _lock_first_lane(run: Run) -> Lane | None:
    """Return the run's first lane, locked; None if it has none. Raises _TwinWrites where it is locked."""
    lane = Lane.objects.filter(run=run).order_by("number").first()
    if lane and not Lane.objects.select_for_update(skip_locked=True).filter(pk=lane.pk):
        raise _TwinWrites
    return lane


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _blocked_message(model: type[Model]) -> str:
    rows = model._meta.verbose_name_plural
    return f"Other sessions have locked {rows} that the run needs. Resume it when they are done."
