"""The command line: Django's, with a short message instead of a traceback for errors an operator can fix."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

VENV_HINT = "Type `make demo` once, then use .venv/bin/python manage.py"
_PROCESS_NAMES = {"runserver": "web", "rqworker": "worker"}


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

        message = None if "--traceback" in argv else explain_error(exc)
        if message is None:
            raise
        if isinstance(exc, OSError):
            _discard_output()
        return _print_error(message)
    return 0


def get_manage_command(program: Path) -> str:
    """Return the shell words that go before the name of a command, as ``.venv/bin/python manage.py``.

    They are those by which this process was started, if it runs ``program`` (manage.py); in any other
    process, such as gunicorn, this Python and ``program``.
    """
    arguments = [sys.executable, str(program)]
    if _is_running(program):
        arguments = sys.orig_argv[: sys.orig_argv.index(sys.argv[0]) + 1]
    return shlex.join(map(_relative_to_cwd, arguments))


def get_application_name(program: Path) -> str:
    """Return the name of this process's sessions: "kyndo web", "kyndo worker", or "kyndo" and the command."""
    if "kyndo.wsgi" in sys.modules:
        return "kyndo web"
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if not _is_running(program):  # a script, or "-c"
        command = Path(sys.argv[0]).stem.lstrip("-")
    return f"kyndo {_PROCESS_NAMES.get(command, command)}".rstrip()


def _is_running(program: Path) -> bool:
    return sys.argv[0] in sys.orig_argv and Path(sys.argv[0]).resolve() == program


def get_install_command(*packages: str) -> str:
    """Return the shell command that installs packages for the running Python."""
    return shlex.join([_relative_to_cwd(sys.executable), "-m", "pip", "install", *packages])


def _relative_to_cwd(argument: str) -> str:
    path = Path(argument)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else argument


def _run_and_flush(run: Callable[[list[str]], None], argv: list[str]) -> None:
    """Flush stdout explicitly: an error while Python flushes it at exit cannot be caught."""
    try:
        run(argv)
    finally:
        sys.stdout.flush()


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
