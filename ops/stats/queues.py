"""What waits on the queues and which runs are active: read in one place for everybody who shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone
from redis import RedisError
from rq import Queue

from ops.formatting import rows_per_second
from ops.models import Run
from ops.queue.liveness import connect_queue, live_worker_names
from ops.retries import is_unavailable
from ops.runs.outlook import compute_status
from ops.runs.progress import Progress, read_progress
from ops.schema import hints
from ops.states import ACTIVE, HELD

COUNT_FIELDS = ("waiting", "active", "completed", "failed", "delayed", "total")

T = TypeVar("T")


@dataclass(frozen=True)
class QueueStats:
    """The jobs of one queue: ``completed`` and ``failed`` are those that RQ still remembers."""

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
    """How far a run is, in which status, for how many workers, and what holds it: "" where nothing does."""

    progress: Progress
    status: str
    workers: int | None  # None where it belongs to a terminal
    held: str

    @property
    def rate(self) -> float:
        """Rows changed a second, since the run was first taken up."""
        return rows_per_second(self.progress.changed, self.progress.elapsed)

    @property
    def percent(self) -> float:
        return 100 * self.progress.done / self.progress.total if self.progress.total else 100.0


@dataclass(frozen=True)
class SystemStats:
    """What Redis and the database say; None where one cannot tell, and in ``errors`` why, in words."""

    queues: list[QueueStats] | None
    workers: int | None
    runs: list[ActiveRun] | None
    errors: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int | None]:
        """Of all queues together."""
        if self.queues is None:
            return dict.fromkeys(COUNT_FIELDS)
        return {name: sum(queue.counts()[name] for queue in self.queues) for name in COUNT_FIELDS}

    @property
    def oldest_waiting(self) -> float | None:
        ages = [queue.oldest_waiting for queue in self.queues or () if queue.oldest_waiting is not None]
        return max(ages, default=None)


def read_stats() -> SystemStats:
    """Ask Redis and the database, and neither for long. Never raises where they are away, or lack tables."""
    errors: dict[str, str] = {}
    queues, workers = try_query("redis", _read_queues_and_workers, errors) or (None, None)
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
        "held": run.held or None,
    }


def try_query(whom: str, question: Callable[[], T], errors: dict[str, str]) -> T | None:
    """The answer; None where there is none, and the reason in ``errors``."""
    try:
        return question()
    except RedisError as exc:
        errors[whom] = f"Redis is away: {_first_line(exc)}"
    except DatabaseError as exc:
        errors[whom] = _database_error_message(exc)
    return None


def _database_error_message(error: DatabaseError) -> str:
    if hints.is_schema_error(error):
        return hints.explain_schema_error(error)
    return f"PostgreSQL {'is away' if is_unavailable(error) else 'cannot tell'}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _read_active_runs() -> list[ActiveRun]:
    runs = Run.objects.filter(state__in=ACTIVE).order_by("pk")
    return list(map(_to_active_run, runs))


def _to_active_run(run: Run) -> ActiveRun:
    status = compute_status(run)
    return ActiveRun(read_progress(run), status, run.workers, run.held_reason if status == HELD else "")


def _read_queues_and_workers() -> tuple[list[QueueStats], int]:
    queues = [connect_queue(name) for name in settings.RQ_QUEUES]
    workers = set().union(*map(live_worker_names, queues))
    return [_read_queue_stats(queue) for queue in queues], len(workers)


def _read_queue_stats(queue: Queue) -> QueueStats:
    """Counted without RQ's cleanup, which moves jobs: to look must change nothing."""

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
    for job_id in queue.get_job_ids(0, 1):
        job = queue.fetch_job(job_id)
        if job and job.enqueued_at:
            return round(max(0.0, (timezone.now() - job.enqueued_at).total_seconds()), 3)
    return None
