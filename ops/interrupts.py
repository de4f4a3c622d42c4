"""Ctrl-C and SIGTERM: finish the batch and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from types import FrameType

from ops.exceptions import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Set an event at the first SIGINT or SIGTERM; the second one has its usual effect."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in _SIGNALS:
            signal.signal(number, handle)
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interruptible(message: str) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block, which undoes what it began.

    Raises Interrupted with ``message``, which says what is left.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt as exc:
        raise Interrupted(message) from exc
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


# Set in a work-horse when its worker is told to stop.
stop_requested = threading.Event()


class Deadline(threading.Event):
    """An event that is set after ``length``, or when the worker is told to stop."""

    def __init__(self, length: timedelta) -> None:
        super().__init__()
        self.expires_at = monotonic() + length.total_seconds()

    def is_set(self) -> bool:
        return stop_requested.is_set() or monotonic() >= self.expires_at

    def wait(self, timeout: float | None = None) -> bool:
        left = max(0.0, self.expires_at - monotonic())
        stop_requested.wait(left if timeout is None else min(timeout, left))
        return self.is_set()
