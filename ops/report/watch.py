"""Looking on while a run works elsewhere."""

from __future__ import annotations

from threading import Event
from time import monotonic

from django.db import Error

from ops.health.hold import is_held
from ops.lost import refresh
from ops.models import Run
from ops.patience import Patience, is_away
from ops.progress import Progress, progress_of
from ops.queue import presence
from ops.queue.presence import QUIET
from ops.report.run import stalled
from ops.report.watchers import Watcher
from ops.states import MOVING


def watch(run: Run, watcher: Watcher, stop: Event) -> None:
    """Look at the run until it ends or is paused, or until asked to stop; it is left as it is.

    Raises DatabaseAway where the database does not come back.
    """
    onlooker, waits = Onlooker(run, watcher), Patience(stop)
    while not stop.is_set():
        try:
            refresh(run)
            if run.state not in MOVING:
                return
            onlooker.look()
            waits.renew()
        except Error as exc:
            if not is_away(exc):
                raise
            watcher.waiting(str(exc).strip())
            waits.wait(exc)
        stop.wait(watcher.interval)


class Onlooker:
    """Tells a watcher what the lanes say, and where nothing moves, why."""

    def __init__(self, run: Run, watcher: Watcher) -> None:
        self.run, self.watcher = run, watcher
        self.seen = watcher.first
        self.moved = float("-inf")

    def look(self) -> None:
        told = progress_of(self.run)
        if is_held(self.run):
            self.watcher.held(self.run)
        elif told.batches > self.seen.batches:
            self.watcher.show(told, self._rows_in_a_batch(told))
            self.seen, self.moved = told, monotonic()
        elif monotonic() - self.moved > QUIET.total_seconds():
            self.moved = monotonic()
            if reason := self._why_nothing_moves():
                self.watcher.idle(reason)

    def _rows_in_a_batch(self, told: Progress) -> int:
        return round((told.done - self.seen.done) / (told.batches - self.seen.batches))

    def _why_nothing_moves(self) -> str:
        if self.run.workers is not None:
            return presence.missing()
        return stalled(self.run)
