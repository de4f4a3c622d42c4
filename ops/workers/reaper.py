"""The reaper: enqueue runs and exports whose workers or jobs were lost, and finish halts."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta

from django.db import Error, OperationalError, connection, transaction
from redis import Redis, RedisError
from rq.exceptions import StopRequested

from ops.clock import is_recent
from ops.column_changes.usage.database import forget_earlier_writes
from ops.db import set_lock_timeout
from ops.export import queue as exports
from ops.models import Run
from ops.queue.enqueue import enqueue_run
from ops.queue.liveness import connect_queue, count_running_jobs, heartbeat_interval, heartbeat_timeout
from ops.runs import approvals, lifecycle
from ops.states import State
from ops.uploads import queue as uploads

log = logging.getLogger(__name__)

# One of all workers reaps, about once in each heartbeat interval.
_LOCK_KEY = "ops:reaper"
_HEARTBEATS_PER_ROUND = 0.8
# Most batches end sooner; else the next round tries again.
_LOCK_TIMEOUT = timedelta(seconds=2)


def reap_if_due(redis: Redis) -> None:
    """Reap, unless another worker has just done so. Raises nothing, since a worker's heartbeat calls it,
    but StopRequested, which the handler of a signal raises wherever the worker is.

    Closes its database connection, since the worker forks.
    """
    try:
        if redis.set(_LOCK_KEY, 1, nx=True, px=_HEARTBEATS_PER_ROUND * heartbeat_interval()):
            reap()
    except (Error, RedisError) as exc:
        log.warning("the reaper failed: %s", str(exc).strip())
    except StopRequested:
        raise
    except Exception:
        log.exception("the reaper failed")
    finally:
        connection.close()


def reap() -> None:
    """Finish halts whose process died, and enqueue jobs for runs that lack workers, lost exports and uploads.

    Also cancel what waited too long for a second person, and forget all but the last write of each writer of
    an old column.
    """
    for run in Run.objects.filter(state__in=(State.PAUSING, State.CANCELLING)):
        with suppress(OperationalError), transaction.atomic():
            set_lock_timeout(_LOCK_TIMEOUT)
            lifecycle.finish_halt(run)
    for run in Run.objects.filter(workers__isnull=False, state__in=(State.QUEUED, State.RUNNING)):
        enqueue_run(run, at_work=_count_active_workers(run))
    approvals.expire_due()
    exports.requeue_lost()
    uploads.requeue_lost()
    forget_earlier_writes()


def _count_active_workers(run: Run) -> int:
    """Count by the lanes' heartbeats, since Redis may have lost jobs, and by the jobs, for slow batches."""
    active_lanes = run.lanes.filter(is_recent("heartbeat_at", heartbeat_timeout()), finished=False).count()
    return max(active_lanes, count_running_jobs(run.pk, connect_queue()))
