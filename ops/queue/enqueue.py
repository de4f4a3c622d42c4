"""Put jobs for runs and exports on the queue; what Redis loses, the reaper puts there again."""

from __future__ import annotations

import logging
from uuid import uuid4

from django.db import transaction
from redis import RedisError
from rq import Queue

from ops.models import Run
from ops.queue.liveness import (
    NO_WORKER_WARNING,
    connect_queue,
    count_live_workers,
    count_queued_jobs,
    job_id_prefix,
    redis_unavailable_message,
)

log = logging.getLogger(__name__)

# By kind of job the function that a worker calls, with its number.
_JOB_FUNCTIONS = {
    "run": "ops.workers.jobs.advance",
    "export": "ops.export.jobs.perform",
    "upload": "ops.uploads.jobs.perform",
}
# How long Redis keeps a job that has ended, for whoever asks what workers did lately.
_RESULT_TTL = 3600
_FAILURE_TTL = 24 * 3600
_NO_TIMEOUT = -1  # A job ends by itself after a batch; RQ's alarm could interrupt one.


def enqueue_run(run: Run, at_work: int = 0) -> str:
    """Put the run's missing jobs on the queue, once the transaction under way commits.

    Not needed are jobs for the ``at_work`` workers that advance the run already, and for lanes that are
    finished. Returns a warning, or "". Never raises RedisError.
    """
    warnings: list[str] = []
    transaction.on_commit(
        lambda: warnings.append(enqueue_missing_jobs("run", run.pk, _target_worker_count(run) - at_work))
    )
    return "".join(warnings)


def enqueue_run_unchecked(number: int) -> None:
    """Put one job for the run on the queue while the database cannot be read. Never raises RedisError."""
    try:
        _enqueue_job("run", number, connect_queue())
    except RedisError as exc:
        log.info("run %s: Redis is unavailable: %s", number, exc)


def enqueue_missing_jobs(kind: str, number: int, count: int) -> str:
    """Put jobs for the run, export or upload on the queue until ``count`` wait there.

    Returns a warning, or "". Never raises RedisError.
    """
    try:
        queue = connect_queue()
        for _ in range(count - count_queued_jobs(number, queue, kind)):
            _enqueue_job(kind, number, queue)
        return "" if count_live_workers(queue) else NO_WORKER_WARNING
    except RedisError as exc:
        log.info("%s %s: Redis is unavailable: %s", kind, number, exc)
        return redis_unavailable_message(exc)


def _target_worker_count(run: Run) -> int:
    """As many workers as were asked for, at most one a lane; the last one may have to finish the run."""
    return min(run.workers or 0, max(1, run.lanes.filter(finished=False).count()))


def _enqueue_job(kind: str, number: int, queue: Queue) -> None:
    queue.enqueue(
        _JOB_FUNCTIONS[kind],
        number,
        job_id=f"{job_id_prefix(number, kind)}{uuid4().hex}",
        description=f"{kind} {number}",
        job_timeout=_NO_TIMEOUT,
        result_ttl=_RESULT_TTL,
        failure_ttl=_FAILURE_TTL,
    )
