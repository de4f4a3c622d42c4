"""The size of a batch, adapted to the time that batches take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

# A player waits that long for a row of the batch. By the curve of docs/benchmarks.md, longer batches hardly
# change more rows per second, and shorter ones many fewer.
TARGET_DURATION = timedelta(milliseconds=40)
INITIAL_ROWS = 50
MIN_ROWS, MAX_ROWS = 10, 10_000
MAX_KEYS = 500_000
# From this share of its rows on, a batch's time is that of its changes, and not of reading keys.
_DENSE_SHARE = 0.9


@dataclass
class BatchSize:
    """The number of rows that a batch may change, and of keys that it may read.

    The two are adapted apart: where few rows of a huge table need the change, the span of keys makes a
    statement long. ``fixed_rows`` keeps the number of rows. After a batch that failed on its data,
    ``bisecting_rows`` is the number of rows ahead of which one is at fault: it is halved until that row is
    found, and then ``normal_rows`` counts again.
    """

    fixed_rows: int | None = None
    target_duration: timedelta = TARGET_DURATION
    max_rows: int = MAX_ROWS
    keys: int = 0  # no fewer than the rows
    normal_rows: int = INITIAL_ROWS
    bisecting_rows: int = 0

    def __post_init__(self) -> None:
        self.normal_rows = min(self.fixed_rows or self.normal_rows, self.max_rows)
        self.keys = max(self.keys, self.normal_rows)

    @property
    def rows(self) -> int:
        return max(1, self.bisecting_rows // 2) if self.bisecting_rows else self.normal_rows

    @property
    def is_bounded_by_keys(self) -> bool:
        """Whether the span of keys holds no more rows than a batch may change."""
        return self.keys <= self.rows

    def adapt(self, selected: int, duration: timedelta) -> None:
        """Adapt to a batch that selected so many rows, and took so long without its COMMIT."""
        if self.bisecting_rows:
            self.bisecting_rows = max(0, self.bisecting_rows - selected) if selected else 0
            return
        factor = min(2.0, max(0.5, self.target_duration / max(duration, timedelta(microseconds=1))))
        if selected < _DENSE_SHARE * self.rows:
            self.keys = min(MAX_KEYS, int(self.keys * factor))
        else:
            self.keys //= 2
            if not self.fixed_rows:
                self.normal_rows = min(self.max_rows, max(MIN_ROWS, int(self.normal_rows * factor)))
        self.keys = max(self.keys, self.normal_rows)

    def bisect(self, rows: int) -> bool:
        """Halve the size after a batch of so many rows failed; return False if it was a single row."""
        self.bisecting_rows = 0 if rows == 1 else rows
        return self.bisecting_rows > 0
