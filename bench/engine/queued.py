"""A run that workers advance: they are called to it, and it is looked at until they have ended it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import psutil
from django.db import connection
from rq import Worker

from bench.engine.crew import LOG
from bench.engine.memory import peak
from ops import runs
from ops.models import Run
from ops.queue.bell import ring
from ops.queue.presence import the_queue, workers_alive
from ops.states import MOVING

_LOOK_EVERY = 0.2
_PATIENCE = 60.0


def queued(order: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Ready when all workers are."""
    run = runs.get(order["run"])
    _await_workers(order["workers"])
    workers = [psutil.Process(worker.pid) for worker in Worker.all(queue=the_queue())]

    def go() -> dict[str, Any]:
        ring(run)
        memory = 0
        while run.state in MOVING:
            sleep(_LOOK_EVERY)
            memory = max([memory, *map(_peak_of_horses, workers)])
            run.refresh_from_db()
        if run.state != "succeeded":
            raise RuntimeError(f"the run ended {run.state}")
        return _times(run) | {"memory": memory}

    return go


def _await_workers(count: int) -> None:
    until = monotonic() + _PATIENCE
    while workers_alive() < count:
        if monotonic() > until:
            raise SystemExit(f"Of {count} workers not all came within {_PATIENCE:.0f} s: {LOG} says why.")
        sleep(_LOOK_EVERY)


def _times(run: Run) -> dict[str, float]:
    """When the run was taken up and when it ended, on the clock of this process."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - started_at)::float,"
            " extract(epoch FROM clock_timestamp() - finished_at)::float FROM ops_run WHERE id = %s",
            [run.pk],
        )
        began, ended = cursor.fetchone()
    now = monotonic()
    return {"began": now - began, "ended": now - ended}


def _peak_of_horses(worker: psutil.Process) -> int:
    with suppress(psutil.Error, OSError):  # It ends in this moment.
        return max([peak(horse.pid) for horse in worker.children()], default=0)
    return 0
