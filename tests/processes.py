"""Processes: those that tests start, with their children, and the limits of the tests' own."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest


def kill_tree(pid: int) -> None:
    """Send SIGKILL to the process and all its children; one that has ended meanwhile is left out."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [*parent.children(recursive=True), parent]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


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
