"""The jobs and workers of the queues, read without changing them; and the actions on failed jobs.

What a job was called with is never read: it is pickled, and whoever may write to Redis could run code here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from rq import Queue, Worker
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.results import Result

from ops.exceptions import OpsError
from ops.queue.liveness import connect_queue, live_worker_names

_JOB_ID = re.compile(r"(run|export)-(\d{1,18})-")
# By state the registry of RQ that has the jobs; those that wait are in the queue itself.
_REGISTRIES = ("failed", "started", "queued", "scheduled", "deferred")


class JobUnavailable(OpsError):
    """The job has not failed, or is no longer there."""


@dataclass(frozen=True)
class QueuedJob:
    """``kind`` and ``number`` are of the run or export that the job works on; "" and 0 for any other job.

    ``since`` is when the job came into its state. ``error`` is the traceback of a failed one.
    """

    id: str
    description: str
    kind: str
    number: int
    since: datetime | None
    worker: str = ""
    error: str = ""


@dataclass(frozen=True)
class JobList:
    """The first jobs of a state, and how many there are."""

    queue: str
    state: str
    jobs: list[QueuedJob]
    count: int


@dataclass(frozen=True)
class WorkerState:
    name: str
    host: str
    is_alive: bool
    is_busy: bool
    job: str
    heartbeat_at: datetime | None


def list_jobs(limit: int) -> list[JobList]:
    """List the jobs of each queue and state, the newest failed ones first. Raises RedisError."""
    queues = [connect_queue(name) for name in settings.RQ_QUEUES]
    return [_read_list(queue, state, limit) for queue in queues for state in _REGISTRIES]


def _read_list(queue: Queue, state: str, limit: int) -> JobList:
    if state == "queued":
        ids, count = queue.get_job_ids(0, limit), queue.count
    else:
        registry = getattr(queue, f"{state}_job_registry")
        newest_first = state == "failed"
        ids = registry.get_job_ids(0, limit - 1, desc=newest_first, cleanup=False)
        count = registry.get_job_count(cleanup=False)
    jobs = [job for job in Job.fetch_many(ids, connection=queue.connection) if job]
    return JobList(queue.name, state, [_describe(job, state) for job in jobs], count)


def _describe(job: Job, state: str) -> QueuedJob:
    match = _JOB_ID.match(job.id)
    times = {"failed": job.ended_at, "started": job.started_at, "queued": job.enqueued_at}
    return QueuedJob(
        id=job.id,
        description=job.description or "",
        kind=match[1] if match else "",
        number=int(match[2]) if match else 0,
        since=times.get(state, job.created_at),
        worker=job.worker_name or "",
        error=_read_error(job) if state == "failed" else "",
    )


def _read_error(job: Job) -> str:
    result = job.latest_result()
    return (result.exc_string or "") if result and result.type == Result.Type.FAILED else ""


def list_workers() -> list[WorkerState]:
    """List the registered workers of all queues. Raises RedisError."""
    workers: dict[str, WorkerState] = {}
    for name in settings.RQ_QUEUES:
        queue = connect_queue(name)
        alive = live_worker_names(queue)
        workers |= {worker.name: worker for worker in _iter_workers(queue, alive)}
    return sorted(workers.values(), key=lambda worker: (not worker.is_alive, worker.name))


def _iter_workers(queue: Queue, alive: set[str]) -> Iterator[WorkerState]:
    for worker in Worker.all(queue=queue):
        job = worker.get_current_job_id() or ""
        is_busy = bool(job)
        yield WorkerState(
            worker.name, str(worker.hostname or ""), worker.name in alive, is_busy, job, worker.last_heartbeat
        )


def retry_job(job_id: str) -> None:
    """Queue a failed job again. Raises JobUnavailable and RedisError."""
    try:
        _find_queue(job_id).failed_job_registry.requeue(job_id)
    except (NoSuchJobError, InvalidJobOperation) as exc:
        raise _unavailable(job_id) from exc


def delete_job(job_id: str) -> None:
    """Delete a failed job. What it worked on stays as it is. Raises JobUnavailable and RedisError."""
    queue = _find_queue(job_id)
    try:
        Job.fetch(job_id, connection=queue.connection).delete()
    except NoSuchJobError:  # Redis has dropped it; only its name is left.
        queue.failed_job_registry.remove(job_id)


def _find_queue(job_id: str) -> Queue:
    """Return the queue in which the job has failed."""
    for name in settings.RQ_QUEUES:
        queue = connect_queue(name)
        if job_id in queue.failed_job_registry:
            return queue
    raise _unavailable(job_id)


def _unavailable(job_id: str) -> JobUnavailable:
    return JobUnavailable(
        f"The job {job_id} is not among the failed ones: it was retried or deleted meanwhile."
    )
