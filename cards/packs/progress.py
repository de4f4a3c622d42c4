"""How many rows were read, told now and then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from ops.report.status import StatusCallback

T = TypeVar("T")


def iter_with_progress(rows: Iterable[T], say: StatusCallback) -> Iterator[T]:
    for number, row in enumerate(rows):
        if number % 10_000 == 0:
            say(f"{number:,} rows read")
        yield row
