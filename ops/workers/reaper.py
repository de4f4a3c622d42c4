"""The reaper: it looks for runs that should move and do not, and sets them going again."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta

from django.db import Error, OperationalError, connection, transaction
from redis import Redis, RedisError

from ops.clock import is_recent
from ops.db import set_lock_timeout
from ops.export import queue as exports
from ops.models import Run
from ops.queue.enqueue import enqueue_run
from ops.queue.liveness import HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, connect_queue, count_running_jobs
from ops.runs import lifecycle
from ops.states import State

log = logging.getLogger(__name__)

# Of all workers one looks, about as often as each of them beats.
_LOCK_KEY = "ops:reaper"
_INTERVAL = 0.8 * HEARTBEAT_INTERVAL
# A batch under way ends sooner than that; if not, the next look comes soon.
_LOCK_TIMEOUT = timedelta(seconds=2)


def reap_if_due(redis: Redis) -> None:
    """Unless another worker has just done so: reap. Never raises: it is the heart of a worker that calls it.

    Leaves no connection to the database, since the worker forks.
    """
    try:
        if redis.set(_LOCK_KEY, 1, nx=True, px=_INTERVAL):
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
        with suppress(OperationalError), transaction.atomic():
            set_lock_timeout(_LOCK_TIMEOUT)
            lifecycle.finish_halt(run)
    for run in Run.objects.filter(workers__isnull=False, state__in=(State.QUEUED, State.RUNNING)):
        enqueue_run(run, at_work=_count_active_workers(run))
    exports.requeue_lost()


def _count_active_workers(run: Run) -> int:
    """By the lanes, since the queue may have forgotten who works; by the queue, where batches are slow."""
    moving = run.lanes.filter(is_recent("heartbeat_at", HEARTBEAT_TIMEOUT), finished=False).count()
    return max(moving, count_running_jobs(run.pk, connect_queue()))
