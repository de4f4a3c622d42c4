"""The worker: RQ's, with a graceful stop, that survives an unavailable Redis and calls the reaper."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from time import sleep
from types import FrameType
from typing import Any

from django.conf import settings
from redis import RedisError
from redis.client import Pipeline
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.worker import WorkerStatus
from rq.worker_registration import register

from ops.interrupts import stop_requested
from ops.workers.reaper import reap_if_due

_INTERVALS = {
    "maintenance_interval": 20,
    "worker_ttl": 30,
}


class RunWorker(Worker):
    """The worker class in settings.RQ; RQ has no flags for its intervals.

    At the first and any later signal to stop, it finishes its batch and releases its lane. RQ itself would
    wait for the whole slice at the first signal, and kill the job at the second.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        intervals = {**_INTERVALS, "job_monitoring_interval": settings.RUN_BEAT}
        super().__init__(*args, **{**kwargs, **intervals})
        self.max_connection_wait_time = float(settings.RUN_BEAT)

    @property
    def dequeue_timeout(self) -> int:
        return int(settings.RUN_BEAT)

    # Stopping.

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        self._signal_horse()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        self._signal_horse()

    def set_shutdown_requested_date(self) -> None:
        with suppress(RedisError):  # Only informative, and inside a signal handler.
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:
        if self._stop_requested:  # The signal came before the work-horse was started.
            self._signal_horse()
        super().monitor_work_horse(job, queue, execution)

    def _signal_horse(self) -> None:
        """Signal the process, not its group as RQ does: a new work-horse is still in the worker's group."""
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: stop_requested.set())
        if self._stop_requested:
            stop_requested.set()

    # Surviving an unavailable Redis, where RQ would quit and leave its work-horse behind.

    def work(self, burst: bool = False, *args: Any, **kwargs: Any) -> bool:
        worked, ends = False, burst or kwargs.get("max_jobs") or kwargs.get("max_idle_time")
        with suppress(StopRequested):
            while not self._shutdown_requested_date:
                worked = self._try_work(burst, *args, **kwargs)
                if ends:
                    break
                sleep(1)
                self._reap_horse()
        return worked

    def _try_work(self, *args: Any, **kwargs: Any) -> bool:
        try:
            return super().work(*args, **kwargs)
        except RedisError as exc:
            self.log.warning("Worker %s: Redis is unavailable: %s", self.name, exc)
            return False

    def _reap_horse(self) -> None:
        if self.horse_pid:
            self.wait_for_horse()
        self._horse_pid = 0
        self.executions.clear()

    def register_birth(self) -> None:
        if self.birth_date:  # Registered again: remove its own old key.
            self.connection.delete(self.key)
        super().register_birth()  # type: ignore[no-untyped-call]

    def teardown(self) -> None:
        try:
            super().teardown()  # type: ignore[no-untyped-call]
        except RedisError:
            if self.pubsub_thread:
                self.pubsub_thread.stop()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        try:
            super().maintain_heartbeats(job, execution)
        except RedisError as exc:
            self.log.warning("Worker %s: Redis is unavailable, its job continues: %s", self.name, exc)
        self._on_heartbeat()

    # At each heartbeat.

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        if self._shutdown_requested_date and self.get_state() == WorkerStatus.IDLE:
            raise StopRequested  # again: code that logs any exception got the one of the signal
        super().heartbeat(timeout, pipeline)
        if pipeline is None:
            self._on_heartbeat()

    def _on_heartbeat(self) -> None:
        with suppress(RedisError), self.connection.pipeline() as pipeline:
            # Register again, in case Redis was emptied.
            pipeline.hset(self.key, mapping=self.serialize())
            register(self, pipeline)
            pipeline.execute()
        reap_if_due(self.connection)
