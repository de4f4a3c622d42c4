"""Real workers on real runs: stopped, paused, watched, killed."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import django_rq
import psutil
import pytest
import redis
from django.core.management import call_command

from ops.models import Lane, Run
from ops.queue.enqueue import enqueue_run
from ops.queue.liveness import connect_queue, count_live_workers, count_queued_jobs
from ops.runs import lifecycle
from ops.runs.creation import RunRequest, create_run
from ops.workers import reaper
from tests.conftest import Manage
from tests.ops.output import mask_output
from tests.ops.running import audited_changes, create_things, primary_keys, wait_until
from tests.processes import kill_tree
from tests.trials.operations import Annotate

EXECUTE = ("operate", "trials_annotate", "--execute")
Worker = Callable[[], "subprocess.Popen[str]"]
Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """``typed("runs", "show", 1)``: its exit status and masked output."""

    def typed(*args: object) -> tuple[int, str]:
        status = 0
        try:
            call_command(*map(str, args))
        except SystemExit as exc:
            status = int(exc.code or 0)
        return status, mask_output(capsys.readouterr().out)

    return typed


@pytest.fixture
def worker(manage: Manage, redis_server: "redis.Redis", tmp_path: Path) -> Iterator[Worker]:
    """Start a worker, and wait until it listens. Killed at the end of the test, with its work-horse."""
    started = []

    def start() -> "subprocess.Popen[str]":
        with (tmp_path / "worker.log").open("a") as log:
            process = manage.popen("rqworker", "default", stdout=log, stderr=log)
        started.append(process)
        wait_until(lambda: count_live_workers() == len(started))
        return process

    yield start
    for process in started:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()


def slow_run(workers: int = 1, rate: int = 100) -> Run:
    """Of 1,000 things, called for, at so many rows a second."""
    create_things(1000)
    run = create_run(RunRequest(Annotate, "tester", workers=workers, max_rate=rate))
    enqueue_run(run)
    return run


def count_changed() -> int:
    return sum(Lane.objects.values_list("changed", flat=True))


def find_work_horse(process: "subprocess.Popen[str]") -> psutil.Process:
    [horse] = psutil.Process(process.pid).children()
    return horse


def test_a_worker_stopped_twice_ends_its_batch_and_releases_its_lane(worker: Worker) -> None:
    run = slow_run()
    process = worker()
    wait_until(lambda: count_changed() > 0)
    horse = find_work_horse(process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert not horse.is_running()
    run.refresh_from_db()
    assert run.state == "running"
    assert 0 < len(audited_changes(run)) == count_changed() < 1000
    assert count_queued_jobs(run.pk, connect_queue()) == 1


@pytest.fixture
def _signal_handlers() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.usefixtures("_signal_handlers")
def test_a_worker_stopped_while_its_reaper_works_ends(
    redis_server: redis.Redis, monkeypatch: pytest.MonkeyPatch, settings: Any, is_lost: bool
) -> None:
    """Code that logs any exception may catch the one by which the signal stops the worker."""
    rounds = []

    def reap() -> None:
        rounds.append(len(rounds))
        with suppress(Exception) if is_lost else nullcontext():
            os.kill(os.getpid(), signal.SIGTERM)

    settings.RUN_BEAT = 1
    monkeypatch.setattr(reaper, "reap", reap)
    django_rq.get_worker("default").work(max_idle_time=4)
    assert rounds == [0]


def test_a_run_is_watched_paused_and_resumed_from_other_terminals(
    manage: Manage, worker: Worker, typed: Typed
) -> None:
    rows = create_things(1000)
    worker()
    left = "Run N is queued for 2 workers.\nTo see it live: manage.py runs watch N\n"
    assert typed(*EXECUTE, "--workers", 2, "--max-rate", 20) == (0, left)
    run = Run.objects.get()
    watching = manage.popen("runs", "watch", run.pk, "--json")
    assert watching.stdout
    assert json.loads(watching.stdout.readline())["event"] == "progress"
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=60)[1] == ""
    assert watching.returncode == 130
    before = count_changed()
    wait_until(lambda: count_changed() > before)
    assert typed("runs", "pause", run.pk)[0] == 0
    assert lifecycle.get_run(run.pk).state == "paused"
    at_rest = count_changed()
    Run.objects.update(max_rate=None)
    assert typed("runs", "resume", run.pk) == (0, left)
    status, output = typed("runs", "watch", run.pk)
    assert status == 0
    assert "Run N succeeded: 1,000 changed" in output
    assert before < at_rest < 1000
    assert audited_changes(run).keys() == primary_keys(rows)


def test_without_a_worker_a_run_waits_and_every_command_says_so(
    manage: Manage, redis_server: "redis.Redis", typed: Typed
) -> None:
    create_things(3)
    nobody = (
        "No worker is alive. To start one: manage.py rqworker"
        " (or manage.py serve, which also starts the site)."
    )
    watch = "To see it live: manage.py runs watch"
    assert typed(*EXECUTE, "--queue") == (0, f"Run N is queued for 1 worker.\n{nobody}\n{watch} N\n")
    run = Run.objects.get()
    assert f"  workers   1 requested. {nobody}\n" in typed("runs", "show", run.pk)[1]
    watching = manage.popen("runs", "watch", run.pk)
    assert watching.stdout
    assert watching.stdout.readline() == f"{nobody}\n"
    watching.send_signal(signal.SIGTERM)
    out, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (130, "")
    assert out == f"Run {run.pk} continues.\n{watch} {run.pk}\n"


@pytest.mark.usefixtures("transactional_db")
def test_a_run_that_begins_without_redis_is_kept_with_a_warning(typed: Typed, settings: Any) -> None:
    create_things(3)
    settings.RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:9/0"}}
    status, output = typed(*EXECUTE, "--queue")
    assert status == 0
    assert "Redis is unavailable (" in output
    run = Run.objects.get()
    assert (run.state, run.workers) == ("queued", 1)
    assert "  workers   1 requested. Redis is unavailable (" in typed("runs", "show", run.pk)[1]


@pytest.mark.usefixtures("transactional_db")
def test_a_run_of_the_workers_can_be_resumed_in_a_terminal(typed: Typed) -> None:
    rows = create_things(3)
    run = create_run(RunRequest(Annotate, "tester", workers=1))
    status, output = typed("runs", "resume", run.pk, "--here")
    assert status == 0
    assert "Run N succeeded: 3 changed" in output
    assert audited_changes(run).keys() == primary_keys(rows)
    assert lifecycle.get_run(run.pk).workers is None
