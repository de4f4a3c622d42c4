"""Lists of a run's rows, read page by page in the order of their keys as text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from django.db.models import QuerySet

from ops.exceptions import OpsError
from ops.models import Failure, Run
from ops.runs.rebuild import rebuild_operation

_PAGE_SIZE = 1_000


class HasObjectId(Protocol):
    @property
    def object_id(self) -> str: ...


T = TypeVar("T", bound=HasObjectId)


class RowList(ABC, Generic[T]):
    @abstractmethod
    def count(self, after: str | None = None) -> int:
        """Count the rows, or those whose key is greater than ``after``."""

    @abstractmethod
    def page(self, limit: int, after: str | None = None) -> list[T]:
        """Return the first rows, or the first whose key is greater than ``after``."""

    def __iter__(self) -> Iterator[T]:
        """Yield all rows, with at most one page in memory."""
        after = None
        while rows := self.page(_PAGE_SIZE, after):
            yield from rows
            after = rows[-1].object_id


@dataclass(frozen=True)
class FailedRow:
    """``to_retry``: the run was resumed since, and will try the row again."""

    object_id: str
    name: str
    error: str
    at: datetime
    to_retry: bool


class FailedRows(RowList[FailedRow]):
    """The rows that a run could not change."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.failures = run.failures.standing()

    def count(self, after: str | None = None) -> int:
        return self._rows_after(after).count()

    def page(self, limit: int, after: str | None = None) -> list[FailedRow]:
        rows = list(self._rows_after(after).order_by("object_id")[:limit])
        names = get_display_names(self.run, [row.object_id for row in rows])
        return [
            FailedRow(row.object_id, names[row.object_id], row.error, row.created_at, row.to_retry)
            for row in rows
        ]

    def _rows_after(self, after: str | None) -> QuerySet[Failure]:
        return self.failures if after is None else self.failures.filter(object_id__gt=after)


def get_display_names(run: Run, keys: list[str]) -> dict[str, str]:
    """Return the keys themselves where the operation was changed or removed since the run."""
    try:
        return rebuild_operation(run).get_display_names(keys)
    except OpsError:
        return {key: key for key in keys}
