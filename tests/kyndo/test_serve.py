"""`manage.py serve` starts and stops the site and its workers; see also `test_supervisor`."""

import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
import redis

from kyndo.localservices.ports import find_free_port
from tests.conftest import Manage
from tests.kyndo.conftest import are_gone
from tests.ops.running import wait_until


@pytest.fixture
def serving(manage: Manage, redis_server: "redis.Redis") -> Iterator[tuple["subprocess.Popen[str]", int]]:
    port = find_free_port(0)
    process = manage.popen("serve", "--port", port, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    yield process, port
    if process.returncode is None:
        process.terminate()
        process.communicate()


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_for_site_and_worker(process: "subprocess.Popen[str]", port: int, server: "redis.Redis") -> None:
    """Wait until both answer; fail with the command's output if they do not."""
    deadline = time.monotonic() + 100
    while not (server.smembers("rq:workers") and is_answering(port)):
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            pytest.fail(process.communicate()[0])
        time.sleep(0.05)


def is_answering(port: int) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/").close()
        return True
    return False


def test_the_address_is_shown_once_it_answers_and_ctrl_c_stops_all(
    serving: tuple["subprocess.Popen[str]", int], redis_server: "redis.Redis"
) -> None:
    process, port = serving
    assert process.stdout
    assert any(line.startswith(f"The site: http://127.0.0.1:{port}/admin/") for line in process.stdout)
    assert is_answering(port)
    wait_for_site_and_worker(process, port, redis_server)
    all_of_them = children(process)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0
    wait_until(lambda: are_gone(all_of_them))


@pytest.mark.long
def test_a_kill_leaves_no_process_behind(manage: Manage, redis_server: "redis.Redis") -> None:
    port = find_free_port(0)
    process = manage.popen("serve", "--port", port, "--workers", 2, stderr=subprocess.STDOUT)
    wait_for_site_and_worker(process, port, redis_server)
    all_of_them = children(process)
    workers = [child for child in all_of_them if "rqworker" in child.cmdline()]
    process.kill()
    process.communicate()
    wait_until(lambda: are_gone(all_of_them))
    assert len(workers) == 2


@pytest.mark.parametrize("number", ["0", "65"])
def test_an_invalid_number_of_workers_is_refused(manage: Manage, number: str) -> None:
    done = manage("serve", f"--workers={number}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{number!r} is not a number of workers: type 1 to 64\n")


@pytest.mark.parametrize("port", ["99999", "65536", "0", "-1", "http"])
def test_an_invalid_port_is_refused(manage: Manage, port: str) -> None:
    done = manage("serve", f"--port={port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"error: argument --port: {port!r} is not a port: type 1 to 65535\n")


def test_a_port_in_use_is_reported_before_anything_starts(manage: Manage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = manage("serve", "--port", port)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Port {port} of 127.0.0.1 is in use or not permitted. " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_everything_is_stopped_where_the_worker_cannot_start(manage: Manage) -> None:
    done = manage("serve", "--port", find_free_port(0), env={"REDIS_URL": "redis://127.0.0.1:9/0"})
    assert done.returncode == 1
    assert "so everything was stopped." in done.stderr
