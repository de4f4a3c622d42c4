"""Real workers, ``manage.py rqworker``, on a Valkey of the benchmark's own; and what they did."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import psycopg

from bench.engine.databases import ROOT, build_environment
from kyndo.localservices.valkey import LocalValkey

_DATA_DIR = ROOT / "var" / "bench"
WORKER_LOG = _DATA_DIR / "log" / "rqworker.log"
# All rows of a batch have the time at which its transaction began.
_BATCH_STARTS_SQL = """
SELECT array_agg(extract(epoch FROM batch.began)::float ORDER BY batch.began) FROM ops_lane AS lane
JOIN (SELECT run_id, created_at AS began, min(object_id::bigint) AS key FROM audit_logs
    GROUP BY run_id, created_at) AS batch
    ON batch.run_id = lane.run_id AND (lane.lower IS NULL OR batch.key > lane.lower::bigint)
    AND (lane.upper IS NULL OR batch.key <= lane.upper::bigint)
GROUP BY lane.id
"""


@contextmanager
def running_workers(count: int, url: str) -> Iterator[str]:
    """So many workers on the database, starting; the URL of the Redis that calls them."""
    valkey = LocalValkey(_DATA_DIR)
    with ExitStack() as stack:
        stack.callback(valkey.remove)
        valkey.start()
        for _ in range(count):
            stack.callback(_stop_worker, _start_worker(url, valkey.url))
        yield valkey.url


def _start_worker(url: str, redis: str) -> subprocess.Popen[bytes]:
    with WORKER_LOG.open("a") as log:
        return subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "rqworker", "default"],
            env=build_environment(url, redis), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


def _stop_worker(worker: subprocess.Popen[bytes]) -> None:
    """It finishes the batch under way first."""
    worker.terminate()
    worker.wait()


def read_batch_durations(url: str) -> list[float]:
    """Milliseconds from the beginning of each batch to that of the next one in the same lane."""
    with psycopg.connect(url) as connection:
        lanes = connection.execute(_BATCH_STARTS_SQL).fetchall()
    return [(after - before) * 1000 for (began,) in lanes for before, after in pairwise(began)]
