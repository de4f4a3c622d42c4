"""logs/application.log: one logfmt line for each event of a run, each warning and each error.

Several processes write it at once: the site, workers, commands. Rotation is safe among them only under a
lock, which the handlers of the standard library do not take; concurrent-log-handler does, on every write.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from concurrent_log_handler import ConcurrentRotatingFileHandler

EVENT_LOGGER = "ops.events"
_MAX_BYTES = 10 * 1024 * 1024
_BACKUP_COUNT = 10
_MAX_VALUE_LENGTH = 1000
_UNQUOTED_VALUE = re.compile(r"[\w.,:;/@%+*<>()-]+")


class LogfmtFormatter(logging.Formatter):
    """``TIME LEVEL EVENT run=N key=value ...``; line breaks in values are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(sep=" ", timespec="milliseconds")
        event, facts = _extract_event(record)
        pairs = " ".join(f"{quote_value(name)}={quote_value(fact)}" for name, fact in _iter_flattened(facts))
        return f"{when.removesuffix('+00:00')}Z {record.levelname:<7} {event:<10} {pairs}"


class ApplicationLogHandler(ConcurrentRotatingFileHandler):
    """A rotated file, whose folder is created if missing; a failure to write is reported once, on stderr."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / "application.log", maxBytes=_MAX_BYTES, backupCount=_BACKUP_COUNT, encoding="utf-8"
        )
        self.setFormatter(LogfmtFormatter())
        self.addFilter(is_loggable)
        self.is_failure_reported = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            self.handleError(record)
        else:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Report only the first failure: the work continues without its log."""
        if not self.is_failure_reported:
            self.is_failure_reported = True
            print(f"{self.baseFilename} cannot be written: {sys.exception()}", file=sys.stderr)


def is_event(record: logging.LogRecord) -> bool:
    return record.name == EVENT_LOGGER


def is_not_event(record: logging.LogRecord) -> bool:
    return not is_event(record)


def is_loggable(record: logging.LogRecord) -> bool:
    """Return whether a record belongs in the file: RQ's own informational messages do not."""
    return is_event(record) or record.levelno >= logging.WARNING


def quote_value(value: Any) -> str:
    """Return a logfmt value: unquoted if it is plain, else quoted, with unprintable characters escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > _MAX_VALUE_LENGTH:
        text = text[: _MAX_VALUE_LENGTH - 1] + "…"
    if _UNQUOTED_VALUE.fullmatch(text):
        return text
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in escaped)


def _iter_flattened(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``("params.to", "rare")`` for ``{"params": {"to": "rare"}}``."""
    for name, fact in facts.items():
        if isinstance(fact, Mapping):
            yield from _iter_flattened(fact, f"{prefix}{name}.")
        else:
            yield prefix + name, fact


def _extract_event(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """Return the event and its facts; for other records "log", with the logger and its message."""
    if hasattr(record, "event"):
        return record.event, {"run": getattr(record, "run", None), **getattr(record, "facts", {})}
    facts = {"logger": record.name, "said": record.getMessage()}
    if record.exc_info and (error := record.exc_info[1]):
        facts["error"] = f"{type(error).__name__}: {error}"
        facts["at"] = _format_location(error)
    return "log", facts


def _format_location(error: BaseException) -> str:
    """Return ``FILE:LINE`` where the error was raised; the full traceback is on stderr."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
