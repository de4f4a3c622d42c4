"""Which workers are alive, which jobs they have, and whether a run has stalled."""

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
    "No worker is alive. To start one:"
    f" {manage_command('rqworker')} (or {manage_command('serve')}, which also starts the site)."
)
# A run is stalled when none of its lanes has had a heartbeat for so long.
STALL_TIMEOUT = timedelta(seconds=10)
_REDIS_TIMEOUT = timedelta(seconds=2)


def heartbeat_interval() -> timedelta:
    """Return how often every worker sends a heartbeat, busy or idle."""
    return timedelta(seconds=settings.RUN_BEAT)


def heartbeat_timeout() -> timedelta:
    """Return after how long without a heartbeat a worker is dead: it missed several."""
    return 3 * heartbeat_interval()


def connect_queue(name: str = QUEUE_NAME) -> Queue:
    """Return the queue, over a connection with short timeouts and no retries."""
    seconds = _REDIS_TIMEOUT.total_seconds()
    connection = Redis.from_url(
        settings.RQ_QUEUES[name]["URL"],
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )
    return get_queue(name, connection=connection, commit_mode="auto")


def job_id_prefix(number: int, kind: str = "run") -> str:
    """Return how the ids of the jobs of a run, or of another kind, begin."""
    return f"{kind}-{number}-"


def count_live_workers(queue: Queue | None = None) -> int:
    """Count the workers that listen to the queue and have a recent heartbeat. Raises RedisError."""
    return len(live_worker_names(queue or connect_queue()))


def live_worker_names(queue: Queue) -> set[str]:
    """Return the names of these workers. Raises RedisError."""
    return {worker.name for worker in _live_workers(queue)}


def live_worker_hosts(queue: Queue) -> set[str]:
    """Return their hosts, for the healthcheck in docker-compose.yml. Raises RedisError."""
    return {str(worker.hostname) for worker in _live_workers(queue)}


def _live_workers(queue: Queue) -> list[BaseWorker]:
    return [worker for worker in Worker.all(queue=queue) if _is_recent(worker.last_heartbeat)]


def is_stalled(run: Run) -> bool:
    """Whether the run is active, and no batch of it ended lately; by the database's clock.

    A held run is not stalled, nor one whose lanes are all finished: its checks may take long.
    """
    lanes = Lane.objects.filter(run=OuterRef("pk"))
    not_held = ~held_filter() & ~is_recent("held_until", STALL_TIMEOUT)
    active = Run.objects.filter(not_held, pk=run.pk, state__in=ACTIVE)
    active = active.alias(began=Coalesce("working_since", "created_at"))
    has_unfinished_lane = Exists(lanes.filter(finished=False))
    has_heartbeat = Exists(lanes.filter(is_recent("heartbeat_at", STALL_TIMEOUT)))
    stalled = active.exclude(is_recent("began", STALL_TIMEOUT)).filter(has_unfinished_lane, ~has_heartbeat)
    return stalled.exists()


def get_worker_warning() -> str:
    """Return why no worker can take up a run; "" where one can."""
    try:
        return "" if count_live_workers() else NO_WORKER_WARNING
    except RedisError as exc:
        return redis_unavailable_message(exc)


def redis_unavailable_message(error: RedisError) -> str:
    return f"Redis is unavailable ({error}). Nothing is lost: work continues when Redis is back."


def count_queued_jobs(number: int, queue: Queue, kind: str = "run") -> int:
    """Count the jobs of the run or export that wait on the queue. Raises RedisError."""
    return sum(job.startswith(job_id_prefix(number, kind)) for job in queue.get_job_ids())


def count_running_jobs(run: int, queue: Queue) -> int:
    """Count the jobs of the run that live workers execute. Raises RedisError."""
    started = queue.started_job_registry.get_job_and_execution_ids(cleanup=False)
    return sum(
        _is_execution_alive(job, execution, queue)
        for job, execution in started
        if job.startswith(job_id_prefix(run))
    )


def _is_execution_alive(job: str, execution: str, queue: Queue) -> bool:
    try:
        return _is_recent(Execution.fetch(execution, job, queue.connection).last_heartbeat)
    except ValueError:  # It has ended in the meantime.
        return False


def _is_recent(heartbeat: datetime | None) -> bool:
    return heartbeat is not None and abs(datetime.now(UTC) - heartbeat) < heartbeat_timeout()
