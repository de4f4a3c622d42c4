"""Who is there: the queue itself, the workers that are alive, the jobs at work on a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.models.functions import Coalesce
from django_rq import get_queue
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue, Worker
from rq.executions import Execution
from rq.worker import BaseWorker

from ops.clock import is_recent
from ops.command_lines import manage_command
from ops.health.hold import held_filter
from ops.models import Lane, Run
from ops.states import ACTIVE

QUEUE_NAME = "default"
NO_WORKER_WARNING = (
    "No worker is alive, so nothing moves until one is:"
    f" {manage_command('rqworker')} ({manage_command('serve')} has one)."
)
# A worker beats every few seconds, busy or idle: one that missed several beats is gone.
HEARTBEAT_INTERVAL = timedelta(seconds=settings.RUN_BEAT)
HEARTBEAT_TIMEOUT = 3 * HEARTBEAT_INTERVAL
# A run of which no batch was heard for so long stands still.
STALL_TIMEOUT = timedelta(seconds=10)
_REDIS_TIMEOUT = timedelta(seconds=2)


def connect_queue(name: str = QUEUE_NAME) -> Queue:
    """The queue of runs, or another, over a connection that says at once when Redis is away."""
    seconds = _REDIS_TIMEOUT.total_seconds()
    connection = Redis.from_url(
        settings.RQ_QUEUES[name]["URL"],
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )
    return get_queue(name, connection=connection, commit_mode="auto")


def job_id_prefix(run: int) -> str:
    """What the ids of the jobs of run N begin with."""
    return f"run-{run}-"


def count_live_workers(queue: Queue | None = None) -> int:
    """How many workers listen and have beaten lately. Raises RedisError."""
    return len(live_worker_names(queue or connect_queue()))


def live_worker_names(queue: Queue) -> set[str]:
    """The workers that listen to the queue and have beaten lately. Raises RedisError."""
    return {worker.name for worker in _live_workers(queue)}


def live_worker_hosts(queue: Queue) -> set[str]:
    """Where they work. Raises RedisError."""
    return {str(worker.hostname) for worker in _live_workers(queue)}


def _live_workers(queue: Queue) -> list[BaseWorker]:
    return [worker for worker in Worker.all(queue=queue) if _is_recent(worker.last_heartbeat)]


def is_stalled(run: Run) -> bool:
    """Whether the run should move, and no batch of it was heard of lately; by the database's clock.

    A hold, and the checks once every lane is finished, are no reason to call for somebody.
    """
    lanes = Lane.objects.filter(run=OuterRef("pk"))
    free = ~held_filter() & ~is_recent("held_until", STALL_TIMEOUT)
    moving = Run.objects.filter(free, pk=run.pk, state__in=ACTIVE)
    began = moving.alias(began=Coalesce("working_since", "created_at")).exclude(
        is_recent("began", STALL_TIMEOUT)
    )
    ahead, beating = (
        Exists(lanes.filter(finished=False)),
        Exists(lanes.filter(is_recent("heartbeat_at", STALL_TIMEOUT))),
    )
    return began.filter(ahead, ~beating).exists()


def get_worker_warning() -> str:
    """Why no worker can take up a run, in words; "" where one can."""
    try:
        return "" if count_live_workers() else NO_WORKER_WARNING
    except RedisError as exc:
        return redis_unavailable_message(exc)


def redis_unavailable_message(error: RedisError) -> str:
    return f"Redis is away ({error}). Nothing is lost: the workers take it up once Redis is back."


def count_queued_jobs(run: int, queue: Queue) -> int:
    """How many jobs of run N are on the queue. Raises RedisError."""
    return sum(job_id.startswith(job_id_prefix(run)) for job_id in queue.get_job_ids())


def count_running_jobs(run: int, queue: Queue) -> int:
    """How many jobs of run N are in the hands of a worker that is alive. Raises RedisError."""
    started = queue.started_job_registry.get_job_and_execution_ids(cleanup=False)
    return sum(
        _is_execution_alive(job, execution, queue)
        for job, execution in started
        if job.startswith(job_id_prefix(run))
    )


def _is_execution_alive(job: str, execution: str, queue: Queue) -> bool:
    try:
        return _is_recent(Execution.fetch(execution, job, queue.connection).last_heartbeat)
    except ValueError:  # It has ended in this moment.
        return False


def _is_recent(beat: datetime | None) -> bool:
    return beat is not None and abs(datetime.now(UTC) - beat) < HEARTBEAT_TIMEOUT
