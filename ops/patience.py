"""Waiting for a database that is away, and trying again what lost a race."""

from __future__ import annotations

import random
from datetime import timedelta
from threading import Event
from time import monotonic

from django.db import Error, InterfaceError, OperationalError, connection

from ops.exceptions import DatabaseAway
from ops.sqlstates import LOST_RACES, READ_ONLY, ends_session, sqlstate

LIMIT = timedelta(seconds=60)
# Connection exceptions; the server is shutting down, crashed, or starting; or it is a standby, as the next
# primary is until it is promoted.
_AWAY = ("08", "57P0", READ_ONLY)
_LONGEST_PAUSE = 2.0


def is_transient(error: Error) -> bool:
    """Whether the same transaction may succeed a moment later."""
    state = sqlstate(error)
    return state in LOST_RACES or is_away(error)


def is_away(error: Error) -> bool:
    """Whether the connection was lost with the error, or could not be had.

    By the error itself first, since Django may have connected anew when it left the transaction. An error
    without a SQLSTATE is the client library's own.
    """
    state, is_operational = sqlstate(error), isinstance(error, (OperationalError, InterfaceError))
    if state.startswith(_AWAY) or ends_session(error) or (is_operational and not state):
        return True
    return connection.connection is None or connection.connection.closed


class Patience:
    """How long to try again: pauses that grow, with jitter, until ``limit`` has passed without success."""

    def __init__(self, stop: Event, limit: timedelta = LIMIT) -> None:
        self.stop = stop
        self.limit = limit
        self.renew()

    def renew(self) -> None:
        self.since: float | None = None
        self.pause = 0.05

    def wait(self, error: Error) -> None:
        """Pause before another try.

        Raises DatabaseAway when out of patience, or asked to stop, while the database is away; the error
        itself when races are lost for as long.
        """
        self.since = self.since or monotonic()
        out_of_patience = monotonic() - self.since > self.limit.total_seconds()
        if is_away(error):
            if self.stop.is_set() or out_of_patience:
                raise DatabaseAway(str(error).strip()) from error
            connection.close()
        elif out_of_patience:
            raise error
        self.stop.wait(self.pause * random.uniform(0.5, 1.5))  # noqa: S311
        self.pause = min(_LONGEST_PAUSE, self.pause * 2)
