"""Real workers on real runs: told to stop, paused, watched, killed."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from ops import runs
from ops.models import Lane, Run
from ops.queue.bell import ring
from ops.queue.presence import jobs_waiting, the_queue, workers_alive
from ops.runs import Request
from tests.conftest import Manage
from tests.ops.running import audited, keys, things, until
from tests.ops.told import said
from tests.trials.operations import Annotate

EXECUTE = ("operate", "trials_annotate", "--execute")
Worker = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def worker(manage: Manage, redis_server: "redis.Redis", tmp_path: Path) -> Iterator[Worker]:
    """Start a worker, and wait until it listens. Killed at the end of the test, with its work-horse."""
    started = []

    def start() -> "subprocess.Popen[str]":
        with (tmp_path / "worker.log").open("a") as log:
            process = manage.popen("rqworker", "default", stdout=log, stderr=log)
        started.append(process)
        until(lambda: workers_alive() == len(started))
        return process

    yield start
    for process in started:
        if process.poll() is None:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()
            process.wait()


def slow_run(workers: int = 1, rate: int = 100) -> Run:
    """Of 1,000 things, called for, at so many rows a second."""
    things(1000)
    run = runs.create(Request(Annotate, "tester", workers=workers, max_rate=rate))
    ring(run)
    return run


def changed() -> int:
    return sum(Lane.objects.values_list("changed", flat=True))


def horse_of(process: "subprocess.Popen[str]") -> psutil.Process:
    [horse] = psutil.Process(process.pid).children()
    return horse


def test_told_to_stop_twice_a_worker_ends_its_batch_and_hands_the_lane_back(worker: Worker) -> None:
    run = slow_run()
    process = worker()
    until(lambda: changed() > 0)
    horse = horse_of(process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert not horse.is_running()
    run.refresh_from_db()
    assert run.state == "running"
    assert 0 < len(audited(run)) == changed() < 1000
    assert jobs_waiting(run, the_queue()) == 1


def test_a_run_is_paused_resumed_and_watched_to_its_end_from_other_terminals(
    manage: Manage, worker: Worker
) -> None:
    rows = things(1000)
    worker()
    said(
        manage(*EXECUTE, "--workers", 2, "--max-rate", 200),
        """
        Run N is left to 2 workers.
        To see it live: manage.py runs watch N
        """,
    )
    run = Run.objects.get()
    until(lambda: changed() > 0)
    paused = manage("runs", "pause", run.pk)
    assert f"Run {run.pk} is paused" in paused.stdout
    at_rest = changed()
    Run.objects.update(max_rate=None)
    said(
        manage("runs", "resume", run.pk),
        """
        Run N is left to 2 workers.
        To see it live: manage.py runs watch N
        """,
    )
    watched = manage("runs", "watch", run.pk)
    assert (watched.returncode, watched.stderr) == (0, "")
    assert f"Run {run.pk} succeeded: 1,000 changed" in watched.stdout
    assert at_rest < 1000
    assert audited(run).keys() == keys(rows)


def test_whoever_watches_may_leave_and_the_run_goes_on(manage: Manage, worker: Worker) -> None:
    run = slow_run()
    worker()
    until(lambda: changed() > 0)
    process = manage.popen("runs", "watch", run.pk, "--json")
    assert process.stdout
    assert json.loads(process.stdout.readline())["event"] == "progress"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    seen = changed()
    until(lambda: changed() > seen)
    assert runs.get(run.pk).state == "running"
    runs.cancel(run)


def test_without_a_worker_a_run_waits_and_everybody_says_so(manage: Manage, redis_server: Any) -> None:
    things(3)
    nobody = (
        "No worker is alive, so nothing moves until one is: manage.py rqworker (manage.py serve has one)."
    )
    said(
        manage(*EXECUTE, "--queue"),
        f"""
        Run N is left to 1 worker.
        {nobody}
        To see it live: manage.py runs watch N
        """,
    )
    run = Run.objects.get()
    assert f"  workers   1 asked for. {nobody}\n" in manage("runs", "show", run.pk).stdout
    watching = manage.popen("runs", "watch", run.pk)
    assert watching.stdout
    assert watching.stdout.readline() == f"{nobody}\n"
    watching.send_signal(signal.SIGTERM)
    out, err = watching.communicate(timeout=60)
    assert (watching.returncode, out, err) == (
        130,
        f"Run {run.pk} goes on without you.\nTo see it live: manage.py runs watch {run.pk}\n",
        "",
    )


def test_a_run_that_begins_while_redis_is_away_is_kept_and_told(manage: Manage) -> None:
    things(3)
    away = {"REDIS_URL": "redis://127.0.0.1:9/0"}
    done = manage(*EXECUTE, "--queue", env=away)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Redis is away (" in done.stdout
    run = Run.objects.get()
    assert (run.state, run.workers) == ("queued", 1)
    shown = manage("runs", "show", run.pk, env=away)
    assert "  workers   1 asked for. Redis is away (" in shown.stdout


def test_a_run_of_the_workers_can_be_taken_to_a_terminal(manage: Manage, redis_server: Any) -> None:
    rows = things(3)
    run = runs.create(Request(Annotate, "tester", workers=1))
    ring(run)
    done = manage("runs", "resume", run.pk, "--here")
    assert f"Run {run.pk} succeeded: 3 changed" in done.stdout
    assert audited(run).keys() == keys(rows)
    assert runs.get(run.pk).workers is None
