"""Rows of a run to go through: page by page, in the order of their keys as text, or all of them."""

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
        """Of all of them, or of those whose key is greater."""

    @abstractmethod
    def page(self, limit: int, after: str | None = None) -> list[T]:
        """The first ones whose key is greater."""

    def __iter__(self) -> Iterator[T]:
        """All, of which no more than a page is held."""
        after = None
        while found := self.page(_PAGE_SIZE, after):
            yield from found
            after = found[-1].object_id


@dataclass(frozen=True)
class FailedRow:
    """``to_retry``: the run went on since, and will try it again."""

    object_id: str
    name: str
    error: str
    at: datetime
    to_retry: bool


class FailedRows(RowList[FailedRow]):
    """Those that a run could not change."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.found = run.failures.standing()

    def count(self, after: str | None = None) -> int:
        return self._beyond(after).count()

    def page(self, limit: int, after: str | None = None) -> list[FailedRow]:
        rows = list(self._beyond(after).order_by("object_id")[:limit])
        names = self._names([row.object_id for row in rows])
        return [
            FailedRow(row.object_id, names[row.object_id], row.error, row.created_at, row.to_retry)
            for row in rows
        ]

    def _beyond(self, after: str | None) -> QuerySet[Failure]:
        return self.found if after is None else self.found.filter(object_id__gt=after)

    def _names(self, keys: list[str]) -> dict[str, str]:
        """By their keys where the operation was changed or removed since: then it has no more to say."""
        try:
            return rebuild_operation(self.run).get_display_names(keys)
        except OpsError:
            return {key: key for key in keys}
