"""A slice of time: how long a job works on a run before others have their turn."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from time import monotonic

# Set in a work-horse when its worker is told to stop.
asked_to_stop = Event()


class Slice(Event):
    """An event that time sets, or the wish of the worker to stop."""

    def __init__(self, length: timedelta) -> None:
        super().__init__()
        self.ends = monotonic() + length.total_seconds()

    def is_set(self) -> bool:
        return asked_to_stop.is_set() or monotonic() >= self.ends

    def wait(self, timeout: float | None = None) -> bool:
        left = max(0.0, self.ends - monotonic())
        asked_to_stop.wait(left if timeout is None else min(timeout, left))
        return self.is_set()
