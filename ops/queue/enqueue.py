"""The bell: it calls workers to a run. Whoever does not hear it is called again by the reaper."""

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

_JOB_PATH = "ops.workers.jobs.advance"
# How long the queue remembers a job: long enough to see what workers did lately.
_RESULT_TTL = 3600
_FAILURE_TTL = 24 * 3600
_NO_TIMEOUT = -1  # A slice ends by itself, after its batch; RQ's alarm would fall into the middle of one.


def enqueue_run(run: Run, at_work: int = 0) -> str:
    """Call as many workers to the run as it asked for, once the transaction commits.

    Not called for are the ``at_work``, those whose job still waits, and those for whom no lane is left.
    Never raises where Redis is away. Returns a warning in words, or "" where there is none to give.
    """
    warnings: list[str] = []
    transaction.on_commit(lambda: warnings.append(_enqueue_missing_jobs(run, at_work)))
    return "".join(warnings)


def enqueue_run_unchecked(number: int) -> None:
    """Call one worker to the run of that number, where the database is away and nobody knows how it stands.

    Never raises where Redis is away too.
    """
    try:
        _enqueue_run_job(number, connect_queue())
    except RedisError as exc:
        log.info("run %s: Redis is away: %s", number, exc)


def _enqueue_missing_jobs(run: Run, at_work: int) -> str:
    try:
        queue = connect_queue()
        for _ in range(_target_worker_count(run) - at_work - count_queued_jobs(run.pk, queue)):
            _enqueue_run_job(run.pk, queue)
        return "" if count_live_workers(queue) else NO_WORKER_WARNING
    except RedisError as exc:
        log.info("run %s: Redis is away: %s", run.pk, exc)
        return redis_unavailable_message(exc)


def _target_worker_count(run: Run) -> int:
    """As many workers as were asked for, but no more than one a lane; one may have to settle the run."""
    return min(run.workers or 0, max(1, run.lanes.filter(finished=False).count()))


def _enqueue_run_job(number: int, queue: Queue) -> None:
    enqueue_job(queue, _JOB_PATH, number, job_id_prefix(number), f"run {number}")


def enqueue_job(queue: Queue, job: str, number: int, prefix: str, description: str) -> None:
    """Put a job for the run or the export of that number on the queue. Raises RedisError."""
    queue.enqueue(
        job,
        number,
        job_id=f"{prefix}{uuid4().hex}",
        description=description,
        job_timeout=_NO_TIMEOUT,
        result_ttl=_RESULT_TTL,
        failure_ttl=_FAILURE_TTL,
    )
