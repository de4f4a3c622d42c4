"""A status line on a terminal; nothing where the output is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

StatusCallback = Callable[[str], None]


@contextmanager
def status_line() -> Iterator[StatusCallback]:
    """Yield a function that sets the text of the line; nothing else may be printed meanwhile."""
    if not sys.stdout.isatty():
        yield lambda text: None
        return
    from rich.console import Console  # takes a tenth of a second to import

    with Console().status("Starting") as line:
        yield line.update
