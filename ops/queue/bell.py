"""The bell: it calls workers to a run. Whoever does not hear it is called again by the reaper."""

from __future__ import annotations

import logging
from uuid import uuid4

from django.db import transaction
from redis import RedisError
from rq import Queue

from ops.models import Run
from ops.queue.presence import NO_WORKER, jobs_waiting, prefix, redis_away, the_queue, workers_alive

log = logging.getLogger(__name__)

_JOB = "ops.workers.jobs.advance"
# How long the queue remembers a job: long enough to see what workers did lately.
_KEPT = 3600
_FAILURE_KEPT = 24 * 3600
_NO_TIMEOUT = -1  # A slice ends by itself, after its batch; RQ's alarm would fall into the middle of one.


def ring(run: Run, at_work: int = 0) -> str:
    """Call as many workers to the run as it asked for, once the transaction commits.

    Not called for are the ``at_work``, those whose job still waits, and those for whom no lane is left.
    Never raises where Redis is away. Returns a warning in words, or "" where there is none to give.
    """
    warnings: list[str] = []
    transaction.on_commit(lambda: warnings.append(_ring(run, at_work)))
    return "".join(warnings)


def ring_blindly(number: int) -> None:
    """Call one worker to the run of that number, where the database is away and nobody knows how it stands.

    Never raises where Redis is away too.
    """
    try:
        _enqueue(number, the_queue())
    except RedisError as exc:
        log.info("run %s: Redis is away: %s", number, exc)


def _ring(run: Run, at_work: int) -> str:
    try:
        queue = the_queue()
        for _ in range(_wanted(run) - at_work - jobs_waiting(run.pk, queue)):
            _enqueue(run.pk, queue)
        return "" if workers_alive(queue) else NO_WORKER
    except RedisError as exc:
        log.info("run %s: Redis is away: %s", run.pk, exc)
        return redis_away(exc)


def _wanted(run: Run) -> int:
    """As many workers as were asked for, but no more than one a lane; one may have to settle the run."""
    return min(run.workers or 0, max(1, run.lanes.filter(finished=False).count()))


def _enqueue(number: int, queue: Queue) -> None:
    put(queue, _JOB, number, prefix(number), f"run {number}")


def put(queue: Queue, job: str, number: int, prefix: str, description: str) -> None:
    """Put a job for the run or the export of that number on the queue. Raises RedisError."""
    queue.enqueue(
        job,
        number,
        job_id=f"{prefix}{uuid4().hex}",
        description=description,
        job_timeout=_NO_TIMEOUT,
        result_ttl=_KEPT,
        failure_ttl=_FAILURE_KEPT,
    )
