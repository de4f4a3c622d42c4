"""The reaper: it looks for runs that should move and do not, and sets them going again."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta

from django.db import Error, OperationalError, connection, transaction
from redis import Redis, RedisError

from ops import runs
from ops.clock import recent
from ops.db import lock_timeout
from ops.export import queue as exports
from ops.models import Run
from ops.queue.bell import ring
from ops.queue.presence import ALIVE, BEAT, jobs_at_work, the_queue
from ops.states import State

log = logging.getLogger(__name__)

# Of all workers one looks, about as often as each of them beats.
_LOCK = "ops:reaper"
_EVERY = 0.8 * BEAT
# A batch under way ends sooner than that; if not, the next look comes soon.
_PATIENCE = timedelta(seconds=2)


def look(redis: Redis) -> None:
    """Unless another worker has just done so: reap. Never raises: it is the heart of a worker that calls it.

    Leaves no connection to the database, since the worker forks.
    """
    try:
        if redis.set(_LOCK, 1, nx=True, px=_EVERY):
            reap()
    except (Error, RedisError) as exc:
        log.warning("cannot look after the runs: %s", str(exc).strip())
    except Exception:
        log.exception("cannot look after the runs")
    finally:
        connection.close()


def reap() -> None:
    """Halt the runs whose halt nobody completed; call workers to those that fewer work on than were asked.

    And to the exports that were lost.
    """
    for run in Run.objects.filter(state__in=(State.PAUSING, State.CANCELLING)):
        with suppress(OperationalError), transaction.atomic(), lock_timeout(_PATIENCE):
            runs.complete_halt(run)
    for run in Run.objects.filter(workers__isnull=False, state__in=(State.QUEUED, State.RUNNING)):
        ring(run, at_work=_at_work(run))
    exports.look_after()


def _at_work(run: Run) -> int:
    """By the lanes, since the queue may have forgotten who works; by the queue, where batches are slow."""
    moving = run.lanes.filter(recent("heartbeat_at", ALIVE), finished=False).count()
    return max(moving, jobs_at_work(run.pk, the_queue()))
