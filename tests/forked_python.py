"""Processes of Python that start quickly: they fork from a process that has imported the libraries."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from threading import Timer
from typing import IO

_ZYGOTE = Path(__file__).with_name("zygote.py")
_SECONDS = 240
# What Python reads of the environment only when it starts, beside the variables PYTHON...
_LOCALE = ("LANG", "LC_ALL", "LC_CTYPE")
_HEEDED = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")


@cache
def zygote_address() -> str:
    """Return the address of this process's zygote, which ends with it."""
    folder = tempfile.TemporaryDirectory(prefix="zygote")
    address = str(Path(folder.name) / "socket")
    env = {name: value for name, value in os.environ.items() if name not in _HEEDED}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        process = subprocess.Popen(
            [sys.executable, _ZYGOTE, str(server.fileno())],
            stdin=subprocess.PIPE,
            env=env,
            pass_fds=[server.fileno()],
        )
    atexit.register(folder.cleanup)
    atexit.register(process.communicate)
    return address


def run_python(
    words: Sequence[str | Path], cwd: Path, env: Mapping[str, str], stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python`` with these words to the end."""
    if not _can_fork(env):
        return subprocess.run(
            [sys.executable, *words],
            cwd=cwd,
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3))
        given.write(stdin or "")
        given.seek(0)
        status = ForkedPython(words, cwd, env, (given, out, err)).wait()
        return subprocess.CompletedProcess([*words], status, _read_all(out), _read_all(err))


def start_python(words: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> PipedPython:
    """Start ``python`` with these words, with pipes for its input and output."""
    pipes = [os.pipe() for _ in range(3)]
    theirs = [os.fdopen(pipes[0][0]), *(os.fdopen(write, "w") for _, write in pipes[1:])]
    ours = [os.fdopen(pipes[0][1], "w"), *(os.fdopen(read) for read, _ in pipes[1:])]
    try:
        return PipedPython(words, cwd, env, theirs, ours)
    finally:
        for stream in theirs:
            stream.close()


def _can_fork(env: Mapping[str, str]) -> bool:
    """Return whether Python would start in the same way as the zygote did."""
    names = {name for name in {*env, *os.environ} if name.startswith("PYTHON") or name in _LOCALE}
    return all(env.get(name) == os.environ.get(name) for name in names.difference(_HEEDED))


def _read_all(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


class ForkedPython:
    """A process that forked from the zygote, with the names of `subprocess.Popen`."""

    def __init__(
        self, words: Sequence[str | Path], cwd: Path, env: Mapping[str, str], streams: Sequence[IO[str]]
    ) -> None:
        os.umask(umask := os.umask(0o077))
        request = json.dumps([[*map(str, words)], str(cwd), dict(env), umask]).encode()
        self.returncode: int | None = None
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(zygote_address())
        fds = [stream.fileno() for stream in streams]
        socket.send_fds(self.connection, [len(request).to_bytes(4, "big")], fds)
        self.connection.sendall(request)
        self.pid = self._receive()

    def _receive(self) -> int:
        """Return the process's id, and the next time its exit status."""
        received = self.connection.recv(4, socket.MSG_WAITALL)
        assert received, "the zygote has ended"
        return int.from_bytes(received, "big", signed=True)

    def poll(self) -> int | None:
        """Return the exit status if it has ended."""
        if self.returncode is None and select.select([self.connection], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self, timeout: float = _SECONDS) -> int:
        """Wait for the end, and return the exit status; kill it after ``timeout`` seconds."""
        if self.returncode is None:
            timer = Timer(timeout, os.kill, (self.pid, signal.SIGKILL))
            timer.start()
            self.returncode = self._receive()
            timer.cancel()
            self.connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class PipedPython(ForkedPython):
    """A process with pipes for its input and output; as a context manager it waits for its end."""

    def __init__(
        self,
        words: Sequence[str | Path],
        cwd: Path,
        env: Mapping[str, str],
        theirs: Sequence[IO[str]],
        ours: Sequence[IO[str]],
    ) -> None:
        super().__init__(words, cwd, env, theirs)
        self.stdin, self.stdout, self.stderr = ours

    def communicate(self, timeout: float = _SECONDS) -> tuple[str, str]:
        """Give no input; return what it writes until its end."""
        self.stdin.close()
        with ThreadPoolExecutor(2) as pool:
            out, err = pool.submit(self.stdout.read), pool.submit(self.stderr.read)
            self.wait(timeout)
            return out.result(), err.result()

    def __enter__(self) -> PipedPython:
        return self

    def __exit__(self, *exc: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()
        self.wait()
