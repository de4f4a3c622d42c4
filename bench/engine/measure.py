"""One measurement: a variant, alone or beside a player, on a fresh copy of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from time import monotonic, sleep
from typing import Any

import psutil
import psycopg

from bench.engine import rq_workers
from bench.engine.databases import UNREACHABLE_REDIS_URL, BenchmarkDatabases
from bench.engine.process import BenchmarkProcess, run_module
from bench.engine.variants import Variant

_WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Throughput:
    """``seconds`` from the first batch to the end; batches in milliseconds, memory in bytes.

    ``busy`` is the utilization of the machine's CPUs by all processes, 0 to 1.
    """

    rows: int
    seconds: float
    batch_median: float
    batch_longest: float
    wal_per_row: float
    memory: int
    busy: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a player's updates, from when each was due; ``sent_p99`` from when it was sent."""

    count: int
    p50: float
    p99: float
    longest: float
    sent_p99: float


@dataclass(frozen=True)
class WorkResult:
    """The reports of the processes, and the WAL and CPU utilization meanwhile."""

    process_reports: list[dict[str, Any]]
    wal_bytes: int
    cpu_share: float

    @property
    def started_at(self) -> float:
        """When the first process started, in monotonic seconds."""
        return min(worker["began"] for worker in self.process_reports)

    @property
    def finished_at(self) -> float:
        """When the last process finished, in monotonic seconds."""
        return max(worker["ended"] for worker in self.process_reports)

    @property
    def batch_durations(self) -> list[float]:
        """The durations of all batches in milliseconds."""
        ends = [[worker["began"], *worker["batches"]] for worker in self.process_reports]
        return [(after - before) * 1000 for one in ends for before, after in pairwise(one)]


class Benchmark:
    """Measurements on copies of templates with ``rows`` cards."""

    def __init__(self, databases: BenchmarkDatabases, rows: int, sample: int) -> None:
        self.databases, self.rows = databases, rows
        self.sample = min(sample, rows)

    def measure_throughput(self, variant: Variant) -> Throughput:
        """Measure a variant without a player."""
        with (
            self.databases.temporary_copy(variant.schema) as url,
            self._ready_workers(variant, url) as workers,
        ):
            sleep(_WARM_UP_SECONDS)  # as beside a player
            return self._build_throughput(_run_work(workers, url), variant, url)

    def measure_idle_latency(self, seconds: float) -> Latency:
        """Measure a player's latency without other work."""
        with self.databases.temporary_copy("kyndo") as url, self._running_player(url) as finish:
            began = monotonic()
            sleep(seconds)
            return finish(began, monotonic())

    def measure_beside_player(self, variant: Variant) -> tuple[Throughput, Latency]:
        """Measure the throughput of the work and the latency of a player beside it."""
        # The player starts last, since starting processes would slow it down.
        with (
            self.databases.temporary_copy(variant.schema) as url,
            self._ready_workers(variant, url) as workers,
            self._running_player(url) as finish,
        ):
            work = _run_work(workers, url)
            return self._build_throughput(work, variant, url), finish(work.started_at, work.finished_at)

    @contextmanager
    def _ready_workers(self, variant: Variant, url: str) -> Iterator[list[BenchmarkProcess]]:
        parameters = {**asdict(variant), "rows": self.sample if variant.sampled else 0}
        if variant.kind in ("engine", "queue"):
            parameters["run"] = run_module("engine.worker", url, {**parameters, "kind": "create"})
        with ExitStack() as stack:
            redis = (
                stack.enter_context(rq_workers.running_workers(variant.workers, url))
                if variant.workers
                else UNREACHABLE_REDIS_URL
            )
            workers = [
                BenchmarkProcess("engine.worker", url, parameters, redis) for _ in range(variant.processes)
            ]
            for worker in workers:
                stack.callback(worker.kill)
            yield workers

    def _build_throughput(self, work: WorkResult, variant: Variant, url: str) -> Throughput:
        rows = self.sample if variant.sampled else self.rows
        batches = rq_workers.read_batch_durations(url) if variant.workers else work.batch_durations
        return Throughput(
            rows=rows,
            seconds=work.finished_at - work.started_at,
            batch_median=median(batches),
            batch_longest=max(batches),
            wal_per_row=work.wal_bytes / rows,
            memory=max(worker["memory"] for worker in work.process_reports),
            busy=work.cpu_share,
        )

    @contextmanager
    def _running_player(self, url: str) -> Iterator[Any]:
        player = BenchmarkProcess("engine.player", url, {"url": url, "cards": self.rows})

        def finish(began: float, ended: float) -> Latency:
            player.signal()
            return summarize_latency([one for one in player.read_result() if began <= one[0] <= ended])

        try:
            player.signal()
            sleep(_WARM_UP_SECONDS)
            yield finish
        finally:
            player.kill()


def _run_work(workers: list[BenchmarkProcess], url: str) -> WorkResult:
    before = _wal_position(url)
    psutil.cpu_times_percent()  # start of the interval
    for worker in workers:
        worker.signal()
    reports = [worker.read_result() for worker in workers]
    cpus = psutil.cpu_times_percent()
    return WorkResult(reports, _wal_position(url) - before, cpu_share=1 - (cpus.idle + cpus.iowait) / 100)


def summarize_latency(updates: list[list[float]]) -> Latency:
    """Summarize ``[due, sent, done]`` of each update, in seconds."""
    latencies = sorted((done - due) * 1000 for due, _, done in updates)
    service_times = sorted((done - began) * 1000 for _, began, done in updates)
    return Latency(
        len(latencies),
        _percentile(latencies, 0.5),
        _percentile(latencies, 0.99),
        latencies[-1],
        _percentile(service_times, 0.99),
    )


def _percentile(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def _wal_position(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    return int(row[0]) if row else 0
