"""The size of a batch, which follows the time that batches take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

TARGET = timedelta(milliseconds=50)
FIRST = 50
FLOOR, CEILING = 10, 10_000
KEYS_CEILING = 500_000


@dataclass
class BatchSize:
    """How many rows a batch may change, and how many keys it may look at.

    The two are sized apart: where few rows of a huge table need the change, it is the span of keys that makes
    a statement long. ``pinned`` fixes the rows. After a batch that failed on its data its rows are suspects:
    they go in smaller batches until they are through, and then the size of before is back.
    """

    pinned: int | None = None
    target: timedelta = TARGET
    ceiling: int = CEILING
    keys: int = FIRST
    healthy: int = FIRST
    suspects: int = 0
    trial: int = 0

    def __post_init__(self) -> None:
        self.healthy = min(self.pinned or self.healthy, self.ceiling)
        self.keys = max(self.keys, self.healthy)

    @property
    def rows(self) -> int:
        return self.trial if self.suspects else self.healthy

    def learn(self, selected: int, duration: timedelta) -> None:
        """Take the measure of a batch that committed: rows selected, and how long it took."""
        if self.suspects:
            self._clear(selected)
            return
        factor = min(2.0, max(0.5, self.target / max(duration, timedelta(microseconds=1))))
        if selected < self.rows:
            self.keys = min(KEYS_CEILING, int(self.keys * factor))
        elif not self.pinned:
            self.healthy = min(self.ceiling, max(FLOOR, int(self.healthy * factor)))
        self.keys = max(self.keys, self.healthy)

    def suspect(self) -> bool:
        """Narrow down after a batch that failed on its data; False when it was a single row that failed."""
        if self.rows == 1:
            self._clear(1)
            return False
        self.suspects, self.trial = self.suspects or self.rows, max(1, self.rows // 4)
        return True

    def _clear(self, rows: int) -> None:
        self.suspects = max(0, self.suspects - rows) if rows else 0
        self.trial = max(1, min(self.trial * 2, self.suspects))
