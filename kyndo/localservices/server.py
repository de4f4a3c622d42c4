"""The base class of the local servers: start, stop, kill, and find the processes of one server."""

import fcntl
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, ClassVar

import psutil

from kyndo.localservices.account import Account, find_account
from kyndo.localservices.data_dir import find_data_dir, get_fallback_dir, hash_path
from kyndo.localservices.errors import LocalServiceError
from kyndo.localservices.ports import find_free_port, is_port_in_use
from kyndo.localservices.state import ServerState, read_state, write_state

TIMEOUT_SECONDS = 120  # crash recovery may replay much WAL on a slow disk
MAX_PORT_ATTEMPTS = 5


class LocalServer:
    """One server on 127.0.0.1, with its files under ``root``/``name``.

    If the user that it runs as cannot reach that folder, its data are in a fallback folder (see `base_dir`).
    Subclasses initialize the data, build the command line and check whether the server answers.
    """

    title: str
    program: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, root: Path, name: str) -> None:
        self.root_dir = root.absolute() / name
        self.state_file = self.root_dir / "state.json"
        self.log = root.absolute() / "log" / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    def init_data(self, password: str, lock: IO[str]) -> None:
        """Create the data folder atomically, unless it exists.

        Called while no process of this server is running.
        """
        raise NotImplementedError

    def command(self, state: ServerState) -> list[str | Path]:
        """Return the command line of the server."""
        raise NotImplementedError

    def config(self, state: ServerState) -> str:
        """Return what the server reads on stdin, where a password is not visible to other users."""
        return ""

    def is_ready(self, state: ServerState) -> bool:
        """Return whether this server answers on its port and accepts its password."""
        raise NotImplementedError

    def finish_start(self, state: ServerState) -> None:
        """Complete the start once the server answers; idempotent."""

    def format_url(self, state: ServerState | None) -> str:
        raise NotImplementedError

    @property
    def process_marker(self) -> str:
        """The text in the command line of every process of this server, made of its path and its token.

        Pids are reused, this is not. Containers may share paths and process ids, but not the state file.
        """
        state = read_state(self.state_file)
        return "-".join(
            filter(None, ["kyndo", hash_path(self.root_dir), state.token if state else "unknown"])
        )

    @cached_property
    def account(self) -> Account:
        default, fallback = self.root_dir / "data", get_fallback_dir(self.root_dir) / "data"
        return find_account(default if default.exists() else fallback)

    @cached_property
    def base_dir(self) -> Path:
        """The folder of the data: ``root_dir``, or its fallback."""
        return find_data_dir(self.root_dir, self.account)

    @property
    def data(self) -> Path:
        return self.base_dir / "data"

    @property
    def url(self) -> str:
        return self.format_url(read_state(self.state_file))

    def is_running(self) -> bool:
        """Return whether the server has processes and answers."""
        state = read_state(self.state_file)
        return state is not None and bool(self.processes()) and self.is_ready(state)

    def start(self) -> bool:
        """Start the server unless it is running; return whether it was started."""
        with self._lock() as lock:
            must_start = not self.is_running()
            if must_start and not self._wait_until_ready(self._load_state()):
                self._terminate(signal.SIGKILL)  # children that outlived a killed server still hold its data
                self._launch(lock)
            self.finish_start(self._load_state())
            return must_start

    def stop(self) -> bool:
        """Stop the server; return whether it was running."""
        if not self.root_dir.exists():
            return False
        with self._lock():
            was_running = bool(self.processes())
            self._terminate(self.stop_signal)
            return was_running

    def kill(self) -> None:
        """Kill all its processes with SIGKILL, as a power failure would."""
        self._terminate(signal.SIGKILL)

    def remove(self) -> None:
        """Stop the server and delete its files."""
        self.stop()
        for folder in (self.root_dir, get_fallback_dir(self.root_dir)):
            shutil.rmtree(folder, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """Return every live process of this server, the main one and its children."""
        candidates = (p for p in psutil.process_iter(["name"]) if p.info["name"] == self.program)
        has_marker = re.compile(rf"\b{re.escape(self.process_marker)}(?![\w-])").search
        return [process for process in candidates if has_marker(" ".join(_read_cmdline(process)))]

    def main_process(self) -> psutil.Process | None:
        """Return the parent of the other processes, whose titles are not the program's path."""
        for process in self.processes():
            if Path([*_read_cmdline(process), ""][0]).name == self.program:
                return process
        return None

    def _load_state(self) -> ServerState:
        return read_state(self.state_file) or ServerState(0, secrets.token_hex(16))

    def _launch(self, lock: IO[str]) -> None:
        state = self._load_state()
        state = replace(state, token=state.token or secrets.token_hex(4))
        write_state(self.state_file, state)  # saved first: the data are initialized with this password
        self.init_data(state.password, lock)
        for _ in range(MAX_PORT_ATTEMPTS):  # another process may take the port before the server binds it
            state = replace(state, port=find_free_port(state.port))
            write_state(self.state_file, state)
            self._child = self._spawn(state)
            if self._wait_until_ready(state, self._child):
                return
            if not is_port_in_use(state.port):
                break
        raise LocalServiceError(f"{self.title} does not start. {self._format_log_tail()}")

    def _spawn(self, state: ServerState) -> "subprocess.Popen[bytes]":
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # A file, not a pipe: a kill while writing would leave a server that runs without a password.
        with self.log.open("a") as log, tempfile.TemporaryFile("w+") as config:
            config.write(self.config(state))
            config.seek(0)
            return subprocess.Popen(
                self.command(state),
                stdin=config,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self.account.popen_kwargs,
            )

    def _wait_until_ready(self, state: ServerState, child: "subprocess.Popen[bytes] | None" = None) -> bool:
        """Wait until the server answers; return False if its main process ends first."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while child.poll() is None if child else self.main_process():
            if self.is_ready(state):
                return True
            if time.monotonic() > deadline:
                raise LocalServiceError(
                    f"{self.title} runs but has not answered for {TIMEOUT_SECONDS} s."
                    f" {self._format_log_tail()}"
                )
            time.sleep(0.02)
        return False

    def _terminate(self, number: signal.Signals) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        self._send_signal(number)
        while left := self.processes():
            if number == signal.SIGKILL or time.monotonic() > deadline:
                self._send_signal(signal.SIGKILL)
            psutil.wait_procs(left, timeout=0.1)
        if self._child:
            self._child.wait()

    def _send_signal(self, number: signal.Signals) -> None:
        main = self.main_process()
        targets = [main] if main and number != signal.SIGKILL else self.processes()
        for process in targets:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    @contextmanager
    def _lock(self) -> Iterator[IO[str]]:
        """Allow one start or stop at a time; the kernel releases the lock of a process that ends."""
        self.root_dir.mkdir(parents=True, exist_ok=True)
        with (self.root_dir / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _format_log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-8:] if self.log.exists() else []
        return "\n".join([f"The end of its log, {self.log}:", *lines])


def _read_cmdline(process: psutil.Process) -> list[str]:
    """Return the command line; [] for a process that has ended, also as a zombie."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []
