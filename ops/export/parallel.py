"""Read the rows of a dataset by ranges of keys, over several connections of one snapshot, in their order.

pg_dump -j does the same with whole tables: https://www.postgresql.org/docs/18/app-pgdump.html.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import Any

from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import IntegerField, Max, Min, QuerySet

from ops.db import read_only_snapshot
from ops.export.dataset import Dataset
from ops.formatting import first_line
from ops.sql.copy_out import disable_timeouts

log = logging.getLogger(__name__)

# Two already halve the time on two cores, and players need theirs.
CONNECTIONS = 2
# A smaller dataset is read over the connection of the snapshot itself.
MIN_ROWS = 50_000
_ROWS_PER_RANGE = 10_000
_MAX_RANGES = 1_000
# Of a range that is read ahead: about 8 MB, more only where a single row has more.
_BLOCKS_AHEAD = 128
_POLL_SECONDS = 0.2

Blocks = Iterable[list[bytes]]
_Range = tuple[QuerySet[Any], Queue[list[bytes] | None]]
OpenStream = Callable[[QuerySet[Any], Mapping[str, str | None]], AbstractContextManager[Blocks]]


def split_by_key(dataset: Dataset, rows: int) -> list[QuerySet[Any]]:
    """Split a dataset of so many rows in the order of its integer key; [] where that is not possible."""
    queryset, key = dataset.queryset, dataset.queryset.model._meta.pk
    is_splittable = isinstance(key, IntegerField)
    if rows < MIN_ROWS or not is_splittable or tuple(queryset.query.order_by) != ("pk",):
        return []
    first, last = queryset.order_by().aggregate(first=Min("pk"), last=Max("pk")).values()
    count = min(rows // _ROWS_PER_RANGE, _MAX_RANGES, last - first + 1)
    uppers = [first + (last - first) * number // count for number in range(1, count)] + [last]
    lowers = [first - 1, *uppers]
    return [queryset.filter(pk__gt=low, pk__lte=high) for low, high in zip(lowers, uppers, strict=False)]


@contextmanager
def open_readers(count: int = CONNECTIONS) -> Iterator[list[BaseDatabaseWrapper]]:
    """Open so many connections like this thread's one; fewer, or none, where the server has no more."""
    opened: list[BaseDatabaseWrapper] = []
    try:
        for _ in range(count):
            other = connection.copy()
            other.inc_thread_sharing()
            try:
                other.ensure_connection()
            except OperationalError as exc:
                log.info("An export reads over %s connections: %s", len(opened), first_line(exc))
                break
            opened.append(other)
        yield opened
    finally:
        for other in opened:
            other.close()


class ParallelReader:
    """Reads ranges in threads, each over its own connection, into a bounded queue for each range.

    A thread takes the next range when it has read one, so the range that is consumed has been taken. The
    ``snapshot`` is exported by a transaction that stays open.
    """

    def __init__(self, open_stream: OpenStream, columns: Mapping[str, str | None], snapshot: str) -> None:
        self._open_stream, self._columns, self._snapshot = open_stream, columns, snapshot
        self._taking, self._stopped = Lock(), Event()
        self._error: BaseException | None = None

    @contextmanager
    def reading(
        self, ranges: Sequence[QuerySet[Any]], readers: Sequence[BaseDatabaseWrapper]
    ) -> Iterator[Blocks]:
        """Yield the blocks of all ranges, one range after the other. Raises what a reader raised."""
        queues: list[Queue[list[bytes] | None]] = [Queue(_BLOCKS_AHEAD) for _ in ranges]
        todo = iter(zip(ranges, queues, strict=True))
        threads = [
            Thread(target=copy_context().run, args=(self._work, reader, todo), name="export", daemon=True)
            for reader in readers
        ]
        for thread in threads:
            thread.start()
        try:
            yield self._iter_blocks(queues)
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def _iter_blocks(self, queues: Sequence[Queue[list[bytes] | None]]) -> Blocks:
        for queue in queues:
            while (block := self._get(queue)) is not None:
                yield block

    def _get(self, queue: Queue[list[bytes] | None]) -> list[bytes] | None:
        while True:
            try:
                return queue.get(timeout=_POLL_SECONDS)
            except Empty:
                if self._error is not None:
                    raise self._error from None

    def _work(self, reader: BaseDatabaseWrapper, todo: Iterator[_Range]) -> None:
        connections[DEFAULT_DB_ALIAS] = reader
        try:
            with read_only_snapshot(imported=self._snapshot):
                disable_timeouts()
                while (taken := self._take(todo)) and self._read(*taken):
                    pass
        except BaseException as exc:  # raised again by the thread that consumes
            self._error = exc

    def _take(self, todo: Iterator[_Range]) -> _Range | None:
        with self._taking:
            return next(todo, None)

    def _read(self, rows: QuerySet[Any], queue: Queue[list[bytes] | None]) -> bool:
        with self._open_stream(rows, self._columns) as blocks:
            return all(self._put(queue, block) for block in blocks) and self._put(queue, None)

    def _put(self, queue: Queue[list[bytes] | None], block: list[bytes] | None) -> bool:
        """Return False if nobody consumes any more."""
        while not self._stopped.is_set():
            try:
                queue.put(block, timeout=_POLL_SECONDS)
            except Full:
                continue
            return True
        return False
