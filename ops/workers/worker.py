"""The worker: RQ's, which passes on the wish to stop, survives a Redis that is away, and calls the reaper."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from time import sleep
from types import FrameType
from typing import Any

from redis import RedisError
from redis.client import Pipeline
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.worker_registration import register

from ops.interrupts import stop_requested
from ops.queue.liveness import HEARTBEAT_INTERVAL
from ops.workers.reaper import reap_if_due

_INTERVALS = {
    "maintenance_interval": 20,
    "job_monitoring_interval": HEARTBEAT_INTERVAL.seconds,
    "worker_ttl": 30,
}


class RunWorker(Worker):
    """Named in settings.RQ, since its intervals have no flags.

    Told to stop, however often, it finishes the batch under way and hands the lane back. RQ itself would
    wait for the whole slice at the first signal, and kill at the second.
    """

    max_connection_wait_time = float(HEARTBEAT_INTERVAL.seconds)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, **_INTERVALS})

    @property
    def dequeue_timeout(self) -> int:
        return HEARTBEAT_INTERVAL.seconds

    # To stop.

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        self._signal_horse()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        self._signal_horse()

    def set_shutdown_requested_date(self) -> None:
        with suppress(RedisError):  # It is only told, and in the middle of a signal.
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:
        if self._stop_requested:  # The signal came before there was a horse to tell.
            self._signal_horse()
        super().monitor_work_horse(job, queue, execution)

    def _signal_horse(self) -> None:
        """Not its process group, as RQ does it: a horse just born is still in the worker's."""
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: stop_requested.set())
        if self._stop_requested:
            stop_requested.set()

    # To survive a Redis that is away, where RQ would quit and leave its horse behind.

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
        if self.birth_date:  # Not the first one: its own traces are not another worker's.
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
            self.log.warning("Worker %s: Redis is unavailable, its job goes on: %s", self.name, exc)
        self._on_heartbeat()

    # At each beat.

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        super().heartbeat(timeout, pipeline)
        if pipeline is None:
            self._on_heartbeat()

    def _on_heartbeat(self) -> None:
        with suppress(RedisError), self.connection.pipeline() as pipeline:
            # A Redis that was emptied no longer knows who works.
            pipeline.hset(self.key, mapping=self.serialize())
            register(self, pipeline)
            pipeline.execute()
        reap_if_due(self.connection)
