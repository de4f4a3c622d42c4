"""The limit of a run's rows per second, shared by the processes that work on it."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from time import monotonic

from ops.clock import is_recent
from ops.models import Run

# A lane with a heartbeat this recent has a process in it.
_ACTIVE_LANE_WINDOW = timedelta(seconds=5)
# The largest batch, as a share of the rows of one second.
_BURST_SHARE = 0.25


class RateLimiter:
    """Wait after each batch, so that the run changes at most ``max_rate`` rows per second."""

    def __init__(self, run: Run, stop: Event) -> None:
        self.run, self.stop = run, stop
        self.started = monotonic()

    @property
    def burst(self) -> int | None:
        """The most rows that one batch may change; None without a limit."""
        return max(1, int(self.run.max_rate * _BURST_SHARE)) if self.run.max_rate else None

    def throttle(self, changed: int) -> None:
        """Wait until this process's share of the rate allows another batch; stop waiting when asked to."""
        if self.run.max_rate:
            processes = self.run.lanes.filter(is_recent("heartbeat_at", _ACTIVE_LANE_WINDOW)).count()
            due = self.started + changed * max(1, processes) / self.run.max_rate
            self.stop.wait(max(0.0, due - monotonic()))
        self.started = monotonic()
