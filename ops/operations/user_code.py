"""What somebody's own code has raised, in words: the error with its kind, and the line."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_LIBRARY_DIRS = tuple(
    sysconfig.get_paths()[which] for which in ("stdlib", "platstdlib", "purelib", "platlib")
)
_ENGINE_DIR = str(Path(__file__).resolve().parents[1])


def format_exception(error: BaseException) -> str:
    """``KeyError: 'x' (operations.py, line 12)``."""
    words = error.msg if isinstance(error, SyntaxError) else error  # which would name the place too
    kind = f"{type(error).__name__}: {words}".strip().removesuffix(":")
    place = get_error_location(error)
    return f"{kind} ({place})" if place else kind


def get_error_location(error: BaseException) -> str:
    """Where it was raised: the innermost line that is no library's and not the engine's, if there is one."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}, line {error.lineno}"
    trace = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in trace if not frame.filename.startswith((*_LIBRARY_DIRS, _ENGINE_DIR, "<"))]
    return f"{Path(theirs[-1].filename).name}, line {theirs[-1].lineno}" if theirs else ""
