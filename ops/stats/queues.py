"""The jobs of the queues, the workers and the active runs: the one source of all that shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone
from redis import RedisError
from rq import Queue

from ops.formatting import first_line, rows_per_second
from ops.models import Run
from ops.queue.liveness import connect_queue, live_worker_names
from ops.retries import is_unavailable
from ops.runs.progress import Progress, read_progress
from ops.runs.status import compute_status
from ops.schema import hints
from ops.states import ACTIVE, HELD

COUNT_FIELDS = ("waiting", "active", "completed", "failed", "delayed", "total")

T = TypeVar("T")


@dataclass(frozen=True)
class QueueStats:
    """The counts of jobs of one queue; ``completed`` and ``failed`` are those that RQ still keeps."""

    name: str
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    oldest_waiting: float | None = None  # seconds; None where nothing waits

    @property
    def total(self) -> int:
        return self.waiting + self.active + self.completed + self.failed + self.delayed

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in COUNT_FIELDS}


@dataclass(frozen=True)
class ActiveRun:
    """The progress of a run, its status, its number of workers, and why it is held ("" where it is not)."""

    progress: Progress
    status: str
    workers: int | None  # None where it belongs to a terminal
    hold_reason: str

    @property
    def rate(self) -> float:
        """Rows changed per second of the time that the run was worked on."""
        return rows_per_second(self.progress.changed, self.progress.elapsed)

    @property
    def percent(self) -> float:
        return 100 * self.progress.done / self.progress.total if self.progress.total else 100.0


@dataclass(frozen=True)
class SystemStats:
    """Figures of Redis and the database; None where one cannot be read.

    ``errors`` maps "redis" or "database" to the reason, as text for a person.
    """

    queues: list[QueueStats] | None
    workers: int | None
    runs: list[ActiveRun] | None
    errors: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int | None]:
        """Return the counts of all queues together, by field; None where Redis cannot be read."""
        if self.queues is None:
            return dict.fromkeys(COUNT_FIELDS)
        return {name: sum(queue.counts()[name] for queue in self.queues) for name in COUNT_FIELDS}

    @property
    def oldest_waiting(self) -> float | None:
        ages = [queue.oldest_waiting for queue in self.queues or () if queue.oldest_waiting is not None]
        return max(ages, default=None)


def read_stats() -> SystemStats:
    """Read Redis and the database, each with a short timeout.

    Does not raise where one is unavailable or lacks tables: see ``SystemStats.errors``.
    """
    errors: dict[str, str] = {}
    queues, workers = try_query("redis", read_queue_stats, errors) or (None, None)
    return SystemStats(queues, workers, try_query("database", _read_active_runs, errors), errors)


def as_json(stats: SystemStats) -> dict[str, Any]:
    return {
        **({"error": "\n".join(stats.errors.values())} if stats.errors else {}),
        **stats.counts(),
        "workers": stats.workers,
        "oldest_waiting_seconds": stats.oldest_waiting,
        "queues": None if stats.queues is None else {queue.name: queue.counts() for queue in stats.queues},
        "runs": None if stats.runs is None else [_run_as_json(run) for run in stats.runs],
    }


def _run_as_json(run: ActiveRun) -> dict[str, Any]:
    return {
        **asdict(run.progress),
        "status": run.status,
        "elapsed": round(run.progress.elapsed.total_seconds(), 3),
        "percent": round(run.percent, 1),
        "rate": round(run.rate),
        "workers": run.workers,
        "held": run.hold_reason or None,
    }


def try_query(server: str, query: Callable[[], T], errors: dict[str, str]) -> T | None:
    """Return the result of ``query``; where its server fails, None, with the reason in ``errors``."""
    try:
        return query()
    except RedisError as exc:
        errors[server] = f"Redis is unavailable: {first_line(exc)}"
    except DatabaseError as exc:
        errors[server] = _database_error_message(exc)
    return None


def _database_error_message(error: DatabaseError) -> str:
    if hints.is_schema_error(error):
        return hints.explain_schema_error(error)
    return (
        f"PostgreSQL {'is unavailable' if is_unavailable(error) else 'cannot be read'}: {first_line(error)}"
    )


def _read_active_runs() -> list[ActiveRun]:
    runs = Run.objects.filter(state__in=ACTIVE).order_by("pk")
    return list(map(_to_active_run, runs))


def _to_active_run(run: Run) -> ActiveRun:
    status = compute_status(run)
    return ActiveRun(read_progress(run), status, run.workers, run.held_reason if status == HELD else "")


def read_queue_stats() -> tuple[list[QueueStats], int]:
    """Return the counts of each queue, and the number of live workers. Raises RedisError."""
    queues = [connect_queue(name) for name in settings.RQ_QUEUES]
    workers = set().union(*map(live_worker_names, queues))
    return [_read_queue_stats(queue) for queue in queues], len(workers)


def _read_queue_stats(queue: Queue) -> QueueStats:
    """Count without RQ's cleanup, which moves jobs: reading must not change the queue."""

    def count(registry: str) -> int:
        return int(getattr(queue, f"{registry}_job_registry").get_job_count(cleanup=False))

    return QueueStats(
        name=queue.name,
        waiting=queue.count,
        active=count("started"),
        completed=count("finished"),
        failed=count("failed"),
        delayed=count("scheduled") + count("deferred"),
        oldest_waiting=_read_oldest_waiting(queue),
    )


def _read_oldest_waiting(queue: Queue) -> float | None:
    """Return the age in seconds of the oldest waiting job."""
    for job_id in queue.get_job_ids(0, 1):
        job = queue.fetch_job(job_id)
        if job and job.enqueued_at:
            return round(max(0.0, (timezone.now() - job.enqueued_at).total_seconds()), 3)
    return None
