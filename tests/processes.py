"""Processes that tests start, with their children."""

from contextlib import suppress

import psutil


def kill_tree(pid: int) -> None:
    """Send SIGKILL to the process and all its children; one that has ended meanwhile is left out."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [*parent.children(recursive=True), parent]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
