"""Several processes in the foreground that start and stop together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

# Reads process groups, and ends them at end of file: when this process was killed.
_GUARD_SCRIPT = 'while read -r group; do groups="$groups -$group"; done; kill -s TERM -- $groups'
MANAGE_PY = Path(__file__).resolve().parent.parent / "manage.py"


def start_command(args: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start a command of manage.py as the leader of a process group, so that its children end with it."""
    return subprocess.Popen([sys.executable, MANAGE_PY, *args], stdin=subprocess.DEVNULL, process_group=0)


def start_guard() -> "subprocess.Popen[bytes]":
    """Start a process that reads process groups, one a line, and ends them if this process is killed."""
    return subprocess.Popen(["/bin/sh", "-c", _GUARD_SCRIPT], stdin=subprocess.PIPE, process_group=0)


def run_processes(
    commands: Mapping[str, Sequence[str]], *, ready: Callable[[], bool], announce: Callable[[], None]
) -> str:
    """Run commands of manage.py until one ends, or Ctrl-C or SIGTERM comes; leave none of them behind.

    Call ``announce`` once ``ready``, which is polled, returns True.
    Return the title of the command that ended, with its exit status; "" after a signal.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise_interrupt)
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        children["The guard"] = guard = start_guard()
        for title, args in commands.items():
            children[title] = start_command(args)
            os.write(guard.stdin.fileno(), b"%d\n" % children[title].pid)  # type: ignore[union-attr]
        if _wait_until(ready):
            announce()
        return _wait_for_first_exit(children)
    except KeyboardInterrupt:
        return ""
    finally:
        _stop_all([child for child in children.values() if child.returncode is None])


def _raise_interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _wait_until(ready: Callable[[], bool]) -> bool:
    """Poll ``ready``; return False if a child ends first."""
    while not os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG):
        if ready():
            return True
        time.sleep(0.1)
    return False


def _wait_for_first_exit(children: "Mapping[str, subprocess.Popen[bytes]]") -> str:
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    ended = next(title for title, child in children.items() if child.poll() is not None)
    return f"{ended} ended with status {children[ended].returncode}"


def _stop_all(children: "list[subprocess.Popen[bytes]]") -> None:
    """Send SIGTERM until all have ended: a worker finishes its batch first."""
    while children := [child for child in children if child.poll() is None]:
        for child in children:
            os.killpg(child.pid, signal.SIGTERM)
        try:
            for child in children:
                child.wait()
        except KeyboardInterrupt:
            continue
