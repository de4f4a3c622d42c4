"""The size of a batch, which follows the time that batches take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

# A player who wants a row of the batch waits that long. By the curve of docs/benchmarks.md, longer batches
# hardly change more rows a second, and shorter ones many fewer.
TARGET_DURATION = timedelta(milliseconds=40)
INITIAL_ROWS = 50
MIN_ROWS, MAX_ROWS = 10, 10_000
MAX_KEYS = 500_000
# The part of a batch's rows from which on it is they that take the time, and not the look at the keys.
_DENSE_SHARE = 0.9


@dataclass
class BatchSize:
    """How many rows a batch may change, and how many keys it may look at.

    The two are sized apart: where few rows of a huge table need the change, it is the span of keys that makes
    a statement long. ``pinned`` fixes the rows. After a batch that failed on its data, ``suspects`` is the
    number of rows ahead of which one is at fault: it is halved until that row is found, and then the size of
    before is back.
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
        """Whether the next keys are no more than the rows that a batch may change."""
        return self.keys <= self.rows

    def adapt(self, selected: int, duration: timedelta) -> None:
        """Take the measure of a batch: rows selected, and how long it took up to its COMMIT."""
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

    def bisect(self, tried: int) -> bool:
        """Narrow down after so many rows failed on their data; False when it was a single row that failed."""
        self.bisecting_rows = 0 if tried == 1 else tried
        return self.bisecting_rows > 0
