"""A line of what goes on, on a terminal; silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Say = Callable[[str], None]
T = TypeVar("T")


@contextmanager
def status() -> Iterator[Say]:
    """Something to tell the line to; nothing else may be printed meanwhile."""
    if not sys.stdout.isatty():
        yield lambda told: None
        return
    from rich.console import Console  # takes a tenth of a second to import

    with Console().status("Begun") as line:
        yield line.update


def counted(rows: Iterable[T], say: Say) -> Iterator[T]:
    for number, row in enumerate(rows):
        if number % 10_000 == 0:
            say(f"{number:,} rows read")
        yield row
