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

from ops.clock import recent
from ops.health.hold import held
from ops.models import Lane, Run
from ops.states import MOVING
from ops.typed import manage

NAME = "default"
NO_WORKER = (
    f"No worker is alive, so nothing moves until one is: {manage('rqworker')} ({manage('serve')} has one)."
)
# A worker beats every few seconds, busy or idle: one that missed several beats is gone.
BEAT = timedelta(seconds=settings.RUN_BEAT)
ALIVE = 3 * BEAT
# A run of which no batch was heard for so long stands still.
QUIET = timedelta(seconds=10)
_PATIENCE = timedelta(seconds=2)


def the_queue(name: str = NAME) -> Queue:
    """The queue of runs, or another, over a connection that says at once when Redis is away."""
    seconds = _PATIENCE.total_seconds()
    connection = Redis.from_url(
        settings.RQ_QUEUES[name]["URL"],
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )
    return get_queue(name, connection=connection, commit_mode="auto")


def prefix(run: int) -> str:
    """What the ids of the jobs of run N begin with."""
    return f"run-{run}-"


def workers_alive(queue: Queue | None = None) -> int:
    """How many workers listen and have beaten lately. Raises RedisError."""
    return len(names_alive(queue or the_queue()))


def names_alive(queue: Queue) -> set[str]:
    """The workers that listen to the queue and have beaten lately. Raises RedisError."""
    return {worker.name for worker in _alive(queue)}


def hosts_alive(queue: Queue) -> set[str]:
    """Where they work. Raises RedisError."""
    return {str(worker.hostname) for worker in _alive(queue)}


def _alive(queue: Queue) -> list[BaseWorker]:
    return [worker for worker in Worker.all(queue=queue) if _is_recent(worker.last_heartbeat)]


def is_quiet(run: Run) -> bool:
    """Whether the run should move, and no batch of it was heard of lately; by the database's clock.

    A hold, and the checks once every lane is finished, are no reason to call for somebody.
    """
    lanes = Lane.objects.filter(run=OuterRef("pk"))
    free = ~held() & ~recent("held_until", QUIET)
    moving = Run.objects.filter(free, pk=run.pk, state__in=MOVING)
    began = moving.alias(began=Coalesce("working_since", "created_at")).exclude(recent("began", QUIET))
    ahead, beating = Exists(lanes.filter(finished=False)), Exists(lanes.filter(recent("heartbeat_at", QUIET)))
    return began.filter(ahead, ~beating).exists()


def missing() -> str:
    """Why no worker can take up a run, in words; "" where one can."""
    try:
        return "" if workers_alive() else NO_WORKER
    except RedisError as exc:
        return redis_away(exc)


def redis_away(error: RedisError) -> str:
    return f"Redis is away ({error}). Nothing is lost: the workers take it up once Redis is back."


def jobs_waiting(run: int, queue: Queue) -> int:
    """How many jobs of run N are on the queue. Raises RedisError."""
    return sum(job_id.startswith(prefix(run)) for job_id in queue.get_job_ids())


def jobs_at_work(run: int, queue: Queue) -> int:
    """How many jobs of run N are in the hands of a worker that is alive. Raises RedisError."""
    started = queue.started_job_registry.get_job_and_execution_ids(cleanup=False)
    return sum(_beats(job, execution, queue) for job, execution in started if job.startswith(prefix(run)))


def _beats(job: str, execution: str, queue: Queue) -> bool:
    try:
        return _is_recent(Execution.fetch(execution, job, queue.connection).last_heartbeat)
    except ValueError:  # It has ended in this moment.
        return False


def _is_recent(beat: datetime | None) -> bool:
    return beat is not None and abs(datetime.now(UTC) - beat) < ALIVE
