"""A queued run: it is enqueued for the workers, and polled until it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import psutil
from django.db import connection
from rq import Worker

from bench.engine.memory import read_peak_memory
from bench.engine.rq_workers import WORKER_LOG
from ops.models import Run
from ops.queue.enqueue import enqueue_run
from ops.queue.liveness import connect_queue, count_live_workers
from ops.runs import lifecycle
from ops.states import ACTIVE

_POLL_INTERVAL = 0.2
_WORKER_START_TIMEOUT = 60.0


def prepare_queued_run(parameters: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Wait until all workers are ready; return the function that runs and waits."""
    run = lifecycle.get_run(parameters["run"])
    _wait_for_workers(parameters["workers"])
    workers = [psutil.Process(worker.pid) for worker in Worker.all(queue=connect_queue())]

    def run_and_wait() -> dict[str, Any]:
        enqueue_run(run)
        memory = 0
        while run.state in ACTIVE:
            sleep(_POLL_INTERVAL)
            memory = max([memory, *map(_peak_work_horse_memory, workers)])
            run.refresh_from_db()
        if run.state != "succeeded":
            raise RuntimeError(f"the run ended {run.state}")
        return _read_run_times(run) | {"memory": memory}

    return run_and_wait


def _wait_for_workers(count: int) -> None:
    deadline = monotonic() + _WORKER_START_TIMEOUT
    while count_live_workers() < count:
        if monotonic() > deadline:
            raise SystemExit(
                f"Not all of {count} workers started within {_WORKER_START_TIMEOUT:.0f} s: see {WORKER_LOG}."
            )
        sleep(_POLL_INTERVAL)


def _read_run_times(run: Run) -> dict[str, float]:
    """Return when the run started and ended, on the monotonic clock of this process."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - started_at)::float,"
            " extract(epoch FROM clock_timestamp() - finished_at)::float FROM ops_run WHERE id = %s",
            [run.pk],
        )
        started_at, finished_at = cursor.fetchone()
    now = monotonic()
    return {"began": now - started_at, "ended": now - finished_at}


def _peak_work_horse_memory(worker: psutil.Process) -> int:
    with suppress(psutil.Error, OSError):  # it has just ended
        return max([read_peak_memory(horse.pid) for horse in worker.children()], default=0)
    return 0
