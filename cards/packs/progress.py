"""Progress of reading: the number of rows, shown every 10,000 rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from ops.report.status import StatusCallback

T = TypeVar("T")


def iter_with_progress(rows: Iterable[T], show_status: StatusCallback) -> Iterator[T]:
    """Yield the rows, and show how many were read."""
    for number, row in enumerate(rows):
        if number % 10_000 == 0:
            show_status(f"{number:,} rows read")
        yield row
