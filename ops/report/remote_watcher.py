"""Watching a run that other processes execute."""

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


def watch_run(run: Run, reporter: ProgressReporter, stop: Event) -> None:
    """Report the progress of the run until it ends, is paused, or ``stop`` is set; never change it.

    Raises DatabaseUnavailable if the database does not come back.
    """
    watcher, backoff = RemoteWatcher(run, reporter), Backoff(stop)
    while not stop.is_set():
        try:
            refresh_run(run)
            if run.state not in ACTIVE:
                return
            watcher.poll()
            backoff.reset()
        except Error as exc:
            if not is_unavailable(exc):
                raise
            reporter.on_retry(str(exc).strip())
            backoff.wait(exc)
        stop.wait(reporter.interval)


class RemoteWatcher:
    """Reports the progress that the lanes have stored, or why there is none."""

    def __init__(self, run: Run, reporter: ProgressReporter) -> None:
        self.run, self.reporter = run, reporter
        self.last_progress = reporter.initial_progress
        self.last_change = float("-inf")

    def poll(self) -> None:
        progress = read_progress(self.run)
        if is_held(self.run):
            self.reporter.on_hold(self.run)
        elif progress.batches > self.last_progress.batches:
            self.reporter.show(progress, self._rows_per_batch(progress))
            self.last_progress, self.last_change = progress, monotonic()
        elif monotonic() - self.last_change > STALL_TIMEOUT.total_seconds():
            self.last_change = monotonic()
            if reason := self._idle_reason():
                self.reporter.idle(reason)

    def _rows_per_batch(self, progress: Progress) -> int:
        last = self.last_progress
        return round((progress.done - last.done) / (progress.batches - last.batches))

    def _idle_reason(self) -> str:
        if self.run.workers is not None:
            return liveness.get_worker_warning()
        return format_stalled(self.run)
