"""``manage.py`` for tests: in the test's process if only output and exit status matter, else in a real one.

Starting Python and Django takes longer than most commands, and hundreds of tests only read the output of one.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch
from urllib.parse import urlsplit

from django.db import connection, connections
from django.test import override_settings

from kyndo.cli import main
from tests.forked_python import run_python

ROOT = Path(__file__).resolve().parent.parent
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
_TERMINAL_WIDTH = "100"


class Manage:
    """Run ``manage.py`` on the test's database, with plain 100-column output."""

    def __init__(self) -> None:
        url = urlsplit(os.environ["DATABASE_URL"])
        self.database_url = url._replace(path=f"/{connection.settings_dict['NAME']}").geturl()

    def __call__(
        self, *args: object, stdin: str | None = None, env: Mapping[str, str | None] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run to the end in this process; with ``stdin`` or ``env``, in a real one.

        Has ``returncode``, ``stdout``, ``stderr``.
        """
        if stdin is not None or env is not None:
            return self.process(*args, stdin=stdin, env=env)
        argv = [str(ROOT / "manage.py"), *map(str, args)]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            with _simulate_process(argv, out, err):
                status = _exit_status(argv)
            return subprocess.CompletedProcess(argv, status, _read_all(out), _read_all(err))

    def process(
        self, *args: object, stdin: str | None = None, env: Mapping[str, str | None] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run to the end as a real process; None in ``env`` unsets a variable."""
        return run_python([ROOT / "manage.py", *map(str, args)], ROOT, self._environment(env), stdin)

    def popen(
        self, *args: object, env: Mapping[str, str | None] | None = None, **popen: Any
    ) -> "subprocess.Popen[str]":
        """Start a process and return at once, for tests that signal or kill it; its output is piped."""
        pipes: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        # Children inherit that a suite in the background of a shell ignores SIGINT.
        pipes["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(**self._process(args, env), **{**pipes, **popen})

    def _process(self, args: tuple[object, ...], env: Mapping[str, str | None] | None) -> dict[str, Any]:
        return {
            "args": [sys.executable, ROOT / "manage.py", *map(str, args)],
            "env": self._environment(env),
            "cwd": ROOT,
            "text": True,
        }

    def _environment(self, env: Mapping[str, str | None] | None) -> dict[str, str]:
        changed = {"DATABASE_URL": self.database_url, "COLUMNS": _TERMINAL_WIDTH, **(env or {})}
        return {name: value for name, value in {**os.environ, **changed}.items() if value is not None}


def _exit_status(argv: list[str]) -> int:
    """Return the exit status of the interpreter."""
    try:
        return main(argv)
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return exc.code or 0
        print(exc.code, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    return 1


@contextmanager
def _simulate_process(argv: list[str], out: IO[str], err: IO[str]) -> Iterator[None]:
    """Emulate a separate process: files for its output, no input, a separate connection."""
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(patch.object(sys, "stdin", stack.enter_context(open(os.devnull))))
        stack.enter_context(patch.object(sys, "argv", argv))
        stack.enter_context(patch.dict(os.environ, COLUMNS=_TERMINAL_WIDTH))
        stack.enter_context(chdir(ROOT))
        # Without LOGGING_CONFIG the handlers stay, so that pytest still captures the log.
        stack.enter_context(override_settings(LOGGING_CONFIG=None))
        stack.enter_context(_redirect_logging(err))
        stack.enter_context(_preserve_signal_handlers())
        stack.enter_context(_separate_connection())
        yield


@contextmanager
def _redirect_logging(err: IO[str]) -> Iterator[None]:
    """Redirect the console handlers to ``err``."""
    consoles = [h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler]
    before = [handler.setStream(err) for handler in consoles]
    try:
        yield
    finally:
        for handler, stream in zip(consoles, before, strict=True):
            handler.setStream(stream or sys.stderr)


@contextmanager
def _preserve_signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _separate_connection() -> Iterator[None]:
    """Use another session, which does not share locks, transaction or settings with the test's."""
    before = connections["default"]
    connections["default"] = before.copy()
    try:
        yield
    finally:
        connections["default"].close()
        connections["default"] = before


def _read_all(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
