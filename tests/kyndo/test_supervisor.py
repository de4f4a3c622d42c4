"""The supervisor, with small programs instead of the site and its workers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.kyndo.conftest import are_gone
from tests.ops.running import wait_until

# Two that wait, as the real ones do: one ends when it is asked to, the other has children of its own.
_COMMAND_SCRIPT = """
import os, signal, sys
if sys.argv[1] == "parent":
    os.spawnl(os.P_NOWAIT, "/bin/sleep", "sleep", "600")
signal.pause()
"""
_SUPERVISOR_SCRIPT = """
import sys
from pathlib import Path
from kyndo import supervisor
supervisor.MANAGE_PY = Path(sys.argv[1])
commands = {"The one": ["parent"], "The other": ["alone"]}
print(supervisor.run_processes(commands, ready=lambda: True, announce=lambda: print("up", flush=True)))
"""


@pytest.fixture
def supervisor_process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    program = tmp_path / "program.py"
    program.write_text(_COMMAND_SCRIPT)
    command = [sys.executable, "-c", _SUPERVISOR_SCRIPT, str(program)]
    # A suite that runs in the background of a shell has SIGINT ignored, and children inherit that.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with process:
        yield process
        process.kill()


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_until_running(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return all processes: the guard, the two commands, and the child of one of them."""
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    wait_until(lambda: any(child.name() == "sleep" for child in children(process)))
    assert len(children(process)) == 4
    return children(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all(supervisor_process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    all_of_them = wait_until_running(supervisor_process)
    supervisor_process.send_signal(number)
    assert supervisor_process.communicate()[0] == "\n"
    assert supervisor_process.returncode == 0
    wait_until(lambda: are_gone(all_of_them))


@pytest.mark.parametrize(("argument", "title"), [("parent", "The one"), ("alone", "The other")])
def test_when_one_dies_the_others_are_stopped(
    supervisor_process: "subprocess.Popen[str]", argument: str, title: str
) -> None:
    all_of_them = wait_until_running(supervisor_process)
    head = next(child for child in all_of_them if argument in child.cmdline())
    os.killpg(head.pid, signal.SIGKILL)
    assert supervisor_process.communicate()[0] == f"{title} ended with status -9\n"
    wait_until(lambda: are_gone(all_of_them))


def test_a_kill_leaves_no_process_behind(supervisor_process: "subprocess.Popen[str]") -> None:
    all_of_them = wait_until_running(supervisor_process)
    supervisor_process.kill()
    supervisor_process.wait()
    wait_until(lambda: are_gone(all_of_them))
