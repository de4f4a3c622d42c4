"""Format exceptions raised by an operation's own code, with the place in that code."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_LIBRARY_DIRS = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_ENGINE_DIR = str(Path(__file__).resolve().parents[1])


def format_exception(error: BaseException) -> str:
    """``KeyError: 'x' (operations.py, line 12)``."""
    message = error.msg if isinstance(error, SyntaxError) else error  # str() would add the place
    kind = f"{type(error).__name__}: {message}".strip().removesuffix(":")
    place = get_error_location(error)
    return f"{kind} ({place})" if place else kind


def get_error_location(error: BaseException) -> str:
    """Return ``file.py, line N`` of the innermost frame outside libraries and the engine, or ""."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}, line {error.lineno}"
    trace = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in trace if not frame.filename.startswith((*_LIBRARY_DIRS, _ENGINE_DIR, "<"))]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
