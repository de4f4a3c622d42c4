"""Looking on while a run works elsewhere."""

from __future__ import annotations

from threading import Event
from time import monotonic

from django.db import Error

from ops.health.hold import is_held
from ops.models import Run
from ops.queue import liveness
from ops.queue.liveness import STALL_TIMEOUT
from ops.report.reporters import ProgressReporter
from ops.report.run import format_stalled
from ops.retries import Backoff, is_unavailable
from ops.runs.lifecycle import refresh_run
from ops.runs.progress import Progress, read_progress
from ops.states import ACTIVE


def watch_run(run: Run, watcher: ProgressReporter, stop: Event) -> None:
    """Look at the run until it ends or is paused, or until asked to stop; it is left as it is.

    Raises DatabaseAway where the database does not come back.
    """
    onlooker, waits = RemoteWatcher(run, watcher), Backoff(stop)
    while not stop.is_set():
        try:
            refresh_run(run)
            if run.state not in ACTIVE:
                return
            onlooker.look()
            waits.reset()
        except Error as exc:
            if not is_unavailable(exc):
                raise
            watcher.waiting(str(exc).strip())
            waits.wait(exc)
        stop.wait(watcher.interval)


class RemoteWatcher:
    """Tells a watcher what the lanes say, and where nothing moves, why."""

    def __init__(self, run: Run, watcher: ProgressReporter) -> None:
        self.run, self.watcher = run, watcher
        self.seen = watcher.first
        self.moved = float("-inf")

    def look(self) -> None:
        told = read_progress(self.run)
        if is_held(self.run):
            self.watcher.held(self.run)
        elif told.batches > self.seen.batches:
            self.watcher.show(told, self._rows_in_a_batch(told))
            self.seen, self.moved = told, monotonic()
        elif monotonic() - self.moved > STALL_TIMEOUT.total_seconds():
            self.moved = monotonic()
            if reason := self._why_nothing_moves():
                self.watcher.idle(reason)

    def _rows_in_a_batch(self, told: Progress) -> int:
        return round((told.done - self.seen.done) / (told.batches - self.seen.batches))

    def _why_nothing_moves(self) -> str:
        if self.run.workers is not None:
            return liveness.get_worker_warning()
        return format_stalled(self.run)
