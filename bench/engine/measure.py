"""One measurement: a way to change the cards, alone or beside a player, on a fresh copy of the database."""

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
    """``seconds`` from the first batch to the end of the work; batches in milliseconds, memory in bytes.

    ``busy`` is the share of the machine's CPUs that had work, whoever's: 0 to 1.
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
    """Milliseconds of a player's updates: from when each was due, and (``sent``) from when it was sent."""

    count: int
    p50: float
    p99: float
    longest: float
    sent_p99: float


@dataclass(frozen=True)
class WorkResult:
    """What the processes told of one piece of work; the WAL written and the CPUs busy meanwhile."""

    process_reports: list[dict[str, Any]]
    wal_bytes: int
    cpu_share: float

    @property
    def started_at(self) -> float:
        return min(worker["began"] for worker in self.process_reports)

    @property
    def finished_at(self) -> float:
        return max(worker["ended"] for worker in self.process_reports)

    @property
    def batch_durations(self) -> list[float]:
        """Milliseconds."""
        ends = [[worker["began"], *worker["batches"]] for worker in self.process_reports]
        return [(after - before) * 1000 for one in ends for before, after in pairwise(one)]


class Benchmark:
    """Measures on the copies of one pair of templates, of ``rows`` cards each."""

    def __init__(self, databases: BenchmarkDatabases, rows: int, sample: int) -> None:
        self.databases, self.rows = databases, rows
        self.sample = min(sample, rows)

    def measure_throughput(self, variant: Variant) -> Throughput:
        with (
            self.databases.temporary_copy(variant.schema) as url,
            self._ready_workers(variant, url) as workers,
        ):
            sleep(_WARM_UP_SECONDS)  # as beside a player
            return self._build_throughput(_run_work(workers, url), variant, url)

    def measure_idle_latency(self, seconds: float) -> Latency:
        """What a player feels where nothing else is done."""
        with self.databases.temporary_copy("kyndo") as url, self._running_player(url) as finish:
            began = monotonic()
            sleep(seconds)
            return finish(began, monotonic())

    def measure_beside_player(self, variant: Variant) -> tuple[Throughput, Latency]:
        """What a player feels beside the work, and what the work does beside a player."""
        # The player last: a process that starts takes the time of one that plays.
        with (
            self.databases.temporary_copy(variant.schema) as url,
            self._ready_workers(variant, url) as workers,
            self._running_player(url) as finish,
        ):
            work = _run_work(workers, url)
            return self._build_throughput(work, variant, url), finish(work.started_at, work.finished_at)

    @contextmanager
    def _ready_workers(self, variant: Variant, url: str) -> Iterator[list[BenchmarkProcess]]:
        order = {**asdict(variant), "rows": self.sample if variant.sampled else 0}
        if variant.kind in ("engine", "queue"):
            order["run"] = run_module("worker", url, {**order, "kind": "create"})
        with ExitStack() as stack:
            redis = (
                stack.enter_context(rq_workers.running_workers(variant.workers, url))
                if variant.workers
                else UNREACHABLE_REDIS_URL
            )
            workers = [BenchmarkProcess("worker", url, order, redis) for _ in range(variant.processes)]
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
        player = BenchmarkProcess("player", url, {"url": url, "cards": self.rows})

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
    psutil.cpu_times_percent()  # from here on
    for worker in workers:
        worker.signal()
    told = [worker.read_result() for worker in workers]
    cpus = psutil.cpu_times_percent()
    return WorkResult(told, _wal_position(url) - before, cpu_share=1 - (cpus.idle + cpus.iowait) / 100)


def summarize_latency(updates: list[list[float]]) -> Latency:
    """Of ``[due, sent, done]``, in seconds."""
    late = sorted((done - due) * 1000 for due, _, done in updates)
    sent = sorted((done - began) * 1000 for _, began, done in updates)
    return Latency(
        len(late), _percentile(late, 0.5), _percentile(late, 0.99), late[-1], _percentile(sent, 0.99)
    )


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _wal_position(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    return int(row[0]) if row else 0
