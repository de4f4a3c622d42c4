"""`manage.py serve`: the site and the worker live and die together."""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
import redis

from kyndo.localservices.ports import free_port
from tests.conftest import Manage


@pytest.fixture
def serving(manage: Manage, redis_server: "redis.Redis") -> Iterator[tuple["subprocess.Popen[str]", int]]:
    port = free_port(0)
    process = manage.popen("serve", "--port", port, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    yield process, port
    if process.returncode is None:
        process.terminate()
        process.communicate()


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_for_site_and_worker(process: "subprocess.Popen[str]", port: int, server: "redis.Redis") -> None:
    """Wait until both answer; fail with what the command said where they never do."""
    deadline = time.monotonic() + 100
    while not (server.smembers("rq:workers") and answers(port)):
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            pytest.fail(process.communicate()[0])
        time.sleep(0.05)


def answers(port: int) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/").close()
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_both(
    serving: tuple["subprocess.Popen[str]", int], redis_server: "redis.Redis", number: signal.Signals
) -> None:
    process, port = serving
    wait_for_site_and_worker(process, port, redis_server)
    all_of_them = children(process)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 0
    assert psutil.wait_procs(all_of_them, timeout=60)[1] == []


@pytest.mark.parametrize("which", ["runserver", "rqworker"])
def test_when_one_dies_the_other_is_stopped(
    serving: tuple["subprocess.Popen[str]", int], redis_server: "redis.Redis", which: str
) -> None:
    process, port = serving
    wait_for_site_and_worker(process, port, redis_server)
    all_of_them = children(process)
    head = next(child for child in psutil.Process(process.pid).children() if which in child.cmdline())
    os.killpg(head.pid, signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "ended with status -9, so everything was stopped." in output
    assert psutil.wait_procs(all_of_them, timeout=60)[1] == []
