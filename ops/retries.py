"""Retry with exponential backoff while the database is unavailable, and after conflicts."""

from __future__ import annotations

import random
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy

from ops.exceptions import DatabaseUnavailable
from ops.sqlstates import READ_ONLY_TRANSACTION, RETRYABLE, is_fatal, sqlstate

RETRY_TIMEOUT = timedelta(seconds=60)
# Connection exceptions; the server is shutting down, crashed or starting; or it is a standby, as the next
# primary is until it is promoted.
_UNAVAILABLE_SQLSTATES = ("08", "57P0", READ_ONLY_TRANSACTION)
# Seconds before the first retry, and at most before any.
_INITIAL_DELAY, _MAX_DELAY = 0.05, 2.0


def is_transient(error: Error) -> bool:
    """Whether the same transaction may succeed if it is retried."""
    state = sqlstate(error)
    return state in RETRYABLE or is_unavailable(error)


def is_unavailable(error: Error, using: BaseDatabaseWrapper | ConnectionProxy[Any] = connection) -> bool:
    """Whether the connection was lost with the error, or could not be made.

    The error itself is examined first, since Django may have a new connection by now. An error without a
    SQLSTATE is the client library's own.
    """
    state, is_operational = sqlstate(error), isinstance(error, (OperationalError, InterfaceError))
    if state.startswith(_UNAVAILABLE_SQLSTATES) or is_fatal(error) or (is_operational and not state):
        return True
    return using.connection is None or using.connection.closed


class Backoff:
    """Delays that grow, with jitter, until ``timeout`` has passed without success."""

    def __init__(
        self,
        stop: Event,
        timeout: timedelta = RETRY_TIMEOUT,
        using: BaseDatabaseWrapper | ConnectionProxy[Any] = connection,
    ) -> None:
        self.stop = stop
        self.timeout = timeout
        self.connection = using
        self.reset()

    def reset(self) -> None:
        """After a success."""
        self.failing_since: float | None = None
        self.delay = _INITIAL_DELAY

    def wait(self, error: Error) -> None:
        """Wait before another try.

        Raises DatabaseUnavailable if the database is unavailable and the timeout has passed or ``stop`` is
        set; the error itself if conflicts go on until the timeout.
        """
        self.failing_since = self.failing_since or monotonic()
        is_timed_out = monotonic() - self.failing_since > self.timeout.total_seconds()
        if is_unavailable(error, self.connection):
            if self.stop.is_set() or is_timed_out:
                raise DatabaseUnavailable(str(error).strip()) from error
            self.connection.close()
        elif is_timed_out:
            raise error
        self.stop.wait(self.delay * random.uniform(0.5, 1.5))  # noqa: S311
        self.delay = min(_MAX_DELAY, self.delay * 2)
