"""A line of what goes on, on a terminal; silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

StatusCallback = Callable[[str], None]


@contextmanager
def status_line() -> Iterator[StatusCallback]:
    """Something to tell the line to; nothing else may be printed meanwhile."""
    if not sys.stdout.isatty():
        yield lambda told: None
        return
    from rich.console import Console  # takes a tenth of a second to import

    with Console().status("Begun") as line:
        yield line.update
