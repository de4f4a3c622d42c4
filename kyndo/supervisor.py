"""Several processes that live and die together, in the foreground."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

# Told of process groups, it ends them once nobody is left to tell it more: when this process was killed.
_GUARD_SCRIPT = 'while read -r group; do groups="$groups -$group"; done; kill -s TERM -- $groups'
MANAGE_PY = Path(__file__).resolve().parent.parent / "manage.py"


def start_command(args: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start a command of manage.py as the head of a process group, so that its own children end with it."""
    return subprocess.Popen([sys.executable, MANAGE_PY, *args], stdin=subprocess.DEVNULL, process_group=0)


def start_guard() -> "subprocess.Popen[bytes]":
    """Start what ends the others when this process is killed; it reads their process groups, one a line."""
    return subprocess.Popen(["/bin/sh", "-c", _GUARD_SCRIPT], stdin=subprocess.PIPE, process_group=0)


def run_processes(
    commands: Mapping[str, Sequence[str]], *, ready: Callable[[], bool], announce: Callable[[], None]
) -> str:
    """Run commands of manage.py until one ends, or Ctrl-C or SIGTERM comes; leave none of them behind.

    Calls ``announce`` as soon as ``ready``, which is asked again and again, says so.
    Returns why it ended: the title of the one that did, with its exit status, or "" for a signal.
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
    """Return whether it came true before any of the children ended."""
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
    """Ask until they are gone: a worker finishes its batch first."""
    while children := [child for child in children if child.poll() is None]:
        for child in children:
            os.killpg(child.pid, signal.SIGTERM)
        try:
            for child in children:
                child.wait()
        except KeyboardInterrupt:
            continue
