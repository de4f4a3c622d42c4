"""The progress of a transfer: rows and bytes. The classes that display it are in `ops.report.transfer`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic


class TransferProgress:
    """Count rows and bytes of all files, and display them at most once per ``interval`` seconds.

    A ``total`` of 0 is unknown. This class displays nothing.
    """

    interval = 2.0
    total = rows = bytes = 0

    @contextmanager
    def tracking(self, total: int) -> Iterator[None]:
        """Start counting a transfer of ``total`` rows."""
        self.total, self.rows, self.bytes = total, 0, 0
        self.started = self.last_shown = monotonic()
        yield

    def advance(self, name: str, rows: int, size: int) -> None:
        """Add ``rows`` and ``size`` bytes, transferred to or from the file ``name``."""
        self.rows += rows
        self.bytes += size
        if monotonic() - self.last_shown >= self.interval:
            self.last_shown = monotonic()
            self.show(name)

    def reduce_total(self, rows: int) -> None:
        """Subtract rows that will not be transferred."""
        self.total = max(self.rows, self.total - rows) if self.total else 0

    def show(self, name: str) -> None:
        """Display the progress; ``name`` is the current file."""

    @property
    def bytes_per_second(self) -> float:
        return self.bytes / max(monotonic() - self.started, 0.001)

    @property
    def seconds_left(self) -> float:
        elapsed = monotonic() - self.started
        return elapsed * max(0, self.total - self.rows) / max(self.rows, 1)
