"""The cap on rows per second of a run, shared by the processes that work on it."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from time import monotonic

from ops.clock import is_recent
from ops.models import Run

# A lane that moved this recently has a process on it.
_ACTIVE_LANE_WINDOW = timedelta(seconds=5)
# No burst is longer than this share of a second's rows.
_BURST_SHARE = 0.25


class RateLimiter:
    """Rests after each batch, so that the run changes no more than ``max_rate`` rows a second."""

    def __init__(self, run: Run, stop: Event) -> None:
        self.run, self.stop = run, stop
        self.started = monotonic()

    @property
    def burst(self) -> int | None:
        """The most rows that one batch may change; None without a cap."""
        return max(1, int(self.run.max_rate * _BURST_SHARE)) if self.run.max_rate else None

    def throttle(self, changed: int) -> None:
        """Wait until this process's share of the rate allows another batch."""
        if self.run.max_rate:
            moving = self.run.lanes.filter(is_recent("heartbeat_at", _ACTIVE_LANE_WINDOW)).count()
            due = self.started + changed * max(1, moving) / self.run.max_rate
            self.stop.wait(max(0.0, due - monotonic()))
        self.started = monotonic()
