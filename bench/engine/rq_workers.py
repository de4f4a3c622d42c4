"""Real workers (``manage.py rqworker``) on a separate Valkey, and the durations of their batches."""

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
# created_at of all rows of a batch is the start of its transaction.
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
    """Start ``count`` workers on the database; yield the URL of their Redis."""
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
    """Stop a worker, which finishes its batch first."""
    worker.terminate()
    worker.wait()


def read_batch_durations(url: str) -> list[float]:
    """Return the milliseconds from the start of each batch to the start of the next in the same lane."""
    with psycopg.connect(url) as connection:
        lanes = connection.execute(_BATCH_STARTS_SQL).fetchall()
    return [(after - before) * 1000 for (began,) in lanes for before, after in pairwise(began)]
