"""Counts the rows and bytes of a transfer. What shows it to a person is in `ops.report.transfer`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic


class TransferProgress:
    """Told of every block, shows at most once in ``interval`` seconds; this one shows nothing.

    ``total`` and ``rows`` are those of all files; a total of 0 is one that nobody knows.
    """

    interval = 2.0
    total = rows = bytes = 0

    @contextmanager
    def of(self, total: int) -> Iterator[None]:
        """For a transfer of so many rows."""
        self.total, self.rows, self.bytes = total, 0, 0
        self.began = self.shown = monotonic()
        yield

    def advance(self, name: str, rows: int, size: int) -> None:
        self.rows += rows
        self.bytes += size
        if monotonic() - self.shown >= self.interval:
            self.shown = monotonic()
            self.show(name)

    def fewer(self, rows: int) -> None:
        """So many rows of the total do not come."""
        self.total = max(self.rows, self.total - rows) if self.total else 0

    def show(self, name: str) -> None:
        pass

    @property
    def bytes_a_second(self) -> float:
        return self.bytes / max(monotonic() - self.began, 0.001)

    @property
    def seconds_left(self) -> float:
        passed = monotonic() - self.began
        return passed * max(0, self.total - self.rows) / max(self.rows, 1)
