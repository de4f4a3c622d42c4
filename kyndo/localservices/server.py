"""What PostgreSQL and Valkey have in common: one server, started, stopped, killed and found again."""

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

TIMEOUT_SECONDS = 120  # a start may have to replay much WAL first, on a slow disk
MAX_PORT_ATTEMPTS = 5


class LocalServer:
    """One server on 127.0.0.1, everything of it under ``root``/``name``.

    Where the user that it runs as cannot go there, its data stand in a folder of the system's (see `place`).
    Subclasses say how to prepare the data, what to run and how to ask whether it answers.
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
        """Make the data folder unless it is there; a kill half-way leaves nothing that looks whole.

        Called when no process of this server is left.
        """
        raise NotImplementedError

    def command(self, state: ServerState) -> list[str | Path]:
        raise NotImplementedError

    def config(self, state: ServerState) -> str:
        """What the server reads on its standard input, where a password does not show."""
        return ""

    def is_ready(self, state: ServerState) -> bool:
        """Tell whether this very server (it knows the password) answers on that port."""
        raise NotImplementedError

    def finish_start(self, state: ServerState) -> None:
        """What is left to do once the server answers; harmless when done again."""

    def format_url(self, state: ServerState | None) -> str:
        raise NotImplementedError

    @property
    def process_marker(self) -> str:
        """In the command line of every process of this server: pids are reused, this is not.

        Of its path and its token. Containers may share a path and the process ids, but not the state file.
        """
        state = read_state(self.state_file)
        return "-".join(
            filter(None, ["kyndo", hash_path(self.root_dir), state.token if state else "unknown"])
        )

    @cached_property
    def account(self) -> Account:
        here, there = self.root_dir / "data", get_fallback_dir(self.root_dir) / "data"
        return find_account(here if here.exists() else there)

    @cached_property
    def base_dir(self) -> Path:
        return find_data_dir(self.root_dir, self.account)

    @property
    def data(self) -> Path:
        return self.base_dir / "data"

    @property
    def url(self) -> str:
        return self.format_url(read_state(self.state_file))

    def is_running(self) -> bool:
        state = read_state(self.state_file)
        return state is not None and bool(self.processes()) and self.is_ready(state)

    def start(self) -> bool:
        """Start it unless it runs; return whether it had to be started."""
        with self._lock() as lock:
            had_to = not self.is_running()
            if had_to and not self._wait_until_ready(self._load_state()):
                self._terminate(signal.SIGKILL)  # children that outlived a killed server still hold its data
                self._launch(lock)
            self.finish_start(self._load_state())
            return had_to

    def stop(self) -> bool:
        """Stop it if it runs; return whether it ran."""
        if not self.root_dir.exists():
            return False
        with self._lock():
            ran = bool(self.processes())
            self._terminate(self.stop_signal)
            return ran

    def kill(self) -> None:
        """End every process of it with SIGKILL, as a power failure would."""
        self._terminate(signal.SIGKILL)

    def remove(self) -> None:
        """Stop it and delete all that it kept."""
        self.stop()
        for folder in (self.root_dir, get_fallback_dir(self.root_dir)):
            shutil.rmtree(folder, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """Every live process of this server, the main one and its children."""
        found = (process for process in psutil.process_iter(["name"]) if process.info["name"] == self.program)
        marked = re.compile(rf"\b{re.escape(self.process_marker)}(?![\w-])").search
        return [process for process in found if marked(" ".join(_read_cmdline(process)))]

    def main_process(self) -> psutil.Process | None:
        """The process that the others are children of; they show another title than the program's path."""
        for process in self.processes():
            if Path([*_read_cmdline(process), ""][0]).name == self.program:
                return process
        return None

    def _load_state(self) -> ServerState:
        return read_state(self.state_file) or ServerState(0, secrets.token_hex(16))

    def _launch(self, lock: IO[str]) -> None:
        state = self._load_state()
        state = replace(state, token=state.token or secrets.token_hex(4))
        write_state(self.state_file, state)  # the password must outlive a kill during the next line
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
        # A file, not a pipe: were we killed before the last byte, the server would run without a password.
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
        """Wait until the server answers (True) or its main process is gone (False)."""
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

    def _terminate(self, how: signal.Signals) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        self._send_signal(how)
        while left := self.processes():
            if how == signal.SIGKILL or time.monotonic() > deadline:
                self._send_signal(signal.SIGKILL)
            psutil.wait_procs(left, timeout=0.1)
        if self._child:
            self._child.wait()

    def _send_signal(self, how: signal.Signals) -> None:
        main = self.main_process()
        targets = [main] if main and how != signal.SIGKILL else self.processes()
        for process in targets:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(how)

    @contextmanager
    def _lock(self) -> Iterator[IO[str]]:
        """One start or stop at a time; the lock goes with the process that holds it."""
        self.root_dir.mkdir(parents=True, exist_ok=True)
        with (self.root_dir / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _format_log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-8:] if self.log.exists() else []
        return "\n".join([f"The end of its log, {self.log}:", *lines])


def _read_cmdline(process: psutil.Process) -> list[str]:
    """Empty where it is gone by now, or has ended and waits for its parent."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []
