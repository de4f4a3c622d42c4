"""The command line: Django's, with the failures that an operator can mend said in words, no traceback."""

import os
import signal
import sys

VENV_HINT = "Type `make demo` once, then use .venv/bin/python manage.py"


def main(argv: list[str]) -> int:
    """Run a command and return its exit status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kyndo.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as exc:
        return _fail(f"{exc.msg}, for the Python that runs this ({sys.executable}).\n{VENV_HINT}")
    try:
        execute_from_command_line(argv)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # as in `manage.py runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as exc:
        from kyndo.errors import explain

        words = None if "--traceback" in argv else explain(exc)
        if words is None:
            raise
        return _fail(words)
    return 0


def _fail(words: str) -> int:
    print(words, file=sys.stderr)
    return 1
