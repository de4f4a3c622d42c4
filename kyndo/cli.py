"""The command line: Django's, with the failures that an operator can mend said in words, no traceback."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

VENV_HINT = "Type `make demo` once, then use .venv/bin/python manage.py"


def main(argv: list[str]) -> int:
    """Run a command and return its exit status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kyndo.settings")
    if sys.stdout is None:  # the shell closed it, as in `>&-`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        from django.core.management import execute_from_command_line
    except ImportError as exc:
        return _print_error(f"{exc.msg}, for the Python that runs this ({sys.executable}).\n{VENV_HINT}")
    try:
        _run_and_flush(execute_from_command_line, argv)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # as in `manage.py runs | head`
        _discard_output()
        return 128 + signal.SIGPIPE
    except Exception as exc:
        from kyndo.errors import explain_error

        words = None if "--traceback" in argv else explain_error(exc)
        if words is None:
            raise
        if isinstance(exc, OSError):
            _discard_output()
        return _print_error(words)
    return 0


def get_manage_command(program: Path) -> str:
    """Return what is typed before the name of a command, for the shell that this process was started from.

    It is how that shell called ``program``, manage.py; for another process, as gunicorn, this Python and it.
    """
    words = [sys.executable, str(program)]
    if sys.argv[0] in sys.orig_argv and Path(sys.argv[0]).resolve() == program:
        words = sys.orig_argv[: sys.orig_argv.index(sys.argv[0]) + 1]
    return shlex.join(map(_relative_to_cwd, words))


def get_install_command(*packages: str) -> str:
    """Return what is typed to install packages for the Python that runs this."""
    return shlex.join([_relative_to_cwd(sys.executable), "-m", "pip", "install", *packages])


def _relative_to_cwd(word: str) -> str:
    path = Path(word)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else word


def _run_and_flush(run: Callable[[list[str]], None], argv: list[str]) -> None:
    """Flush here: what cannot be written as Python exits is no exception that anybody can catch."""
    try:
        run(argv)
    finally:
        sys.stdout.flush()


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(words: str) -> int:
    print(words, file=sys.stderr)
    return 1
