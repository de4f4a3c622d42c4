"""Processes: those that tests start, with their children, and the limits of the tests' own."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest


def kill_tree(pid: int) -> None:
    """Send SIGKILL to the process and all its children, and return once they hold no file and no lock.

    One that has ended meanwhile is left out.
    """
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        processes = [*parent.children(recursive=True), parent]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        while any(map(_is_alive, processes)):
            time.sleep(0.01)


def _is_alive(process: psutil.Process) -> bool:
    """Whether the process has not ended; whoever started it may not have waited for it yet."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes in the block, here and in children: as on a full disk.

    Nor does Python keep what it compiles: it would keep the beginning alone (3.11, gh-126606), and from then
    on each import of that module would raise EOFError.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.dont_write_bytecode", True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
