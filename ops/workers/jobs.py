"""The one job: advance a run for a slice of time, and put itself back."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import Error
from redis import RedisError

from ops import runs
from ops.engine.size import BatchSize
from ops.engine.work import work
from ops.exceptions import DatabaseAway, IllegalMove, OpsError, RunLost, UnknownRun
from ops.lost import refresh
from ops.models import Run
from ops.patience import Patience, is_away
from ops.queue.bell import ring, ring_blindly
from ops.queue.presence import jobs_at_work, the_queue
from ops.queue.slice import Slice
from ops.states import State

log = logging.getLogger(__name__)

_MOVABLE = (State.QUEUED, State.RUNNING)


def advance(run: int) -> None:
    """Work on the run for ``RUN_SLICE`` seconds at most; then, where more is left, put a job for it back.

    Harmless beside its own twin, and quick where there is nothing to do. An error that fails the run is
    raised when that is written. While the database is away, it waits for it, slice by slice.
    """
    stop = Slice(timedelta(seconds=settings.RUN_SLICE))
    waits = Patience(stop)
    try:
        while not _advance(run, stop, waits):
            pass
    except DatabaseAway as exc:
        log.warning("run %s: the database is away: %s", run, exc)
        ring_blindly(run)


def _advance(number: int, stop: Slice, waits: Patience) -> bool:
    """Whether it came to its end; False when the database was away, and may be back."""
    try:
        run = runs.get(number)
        if _is_ours(run):
            _work(run, stop)
        if _is_ours(run):
            _put_back(run)
    except UnknownRun:
        pass
    except RunLost as exc:
        log.warning("%s", exc)
    except Error as exc:
        if not is_away(exc):
            raise
        waits.wait(exc)
        return False
    return True


def _is_ours(run: Run) -> bool:
    return run.workers is not None and run.state in _MOVABLE


def _work(run: Run, stop: Slice) -> None:
    with suppress(IllegalMove):  # Somebody has halted the run, or ended it, in the same moment.
        try:
            work(run, Silent(), stop, leave=True)
        except OpsError as exc:
            if isinstance(exc, (DatabaseAway, IllegalMove, RunLost)) or run.state not in _MOVABLE:
                raise
            # Nobody can go on with it: its operation was changed or removed, and nobody looks on.
            runs.start(run)
            runs.fail(run, exc.reason or str(exc), type(exc).__name__)


def _put_back(run: Run) -> None:
    refresh(run)
    try:
        others = jobs_at_work(run.pk, the_queue()) - 1
    except RedisError:
        others = 0
    ring(run, at_work=max(0, others))


class Silent:
    """Watches for nobody: whoever wants to see the run reads the database."""

    def batch(self, run: Run, size: BatchSize) -> None:
        pass

    def waiting(self, reason: str) -> None:
        log.warning("waiting: %s", reason)

    def held(self, run: Run) -> None:
        pass

    def note(self, words: str) -> None:
        log.warning("%s", words)
