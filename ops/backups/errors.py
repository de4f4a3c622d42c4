"""What can go wrong with a backup or a restore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ops import trouble
from ops.exceptions import OpsError
from ops.sqlstates import READ_ONLY


class BadFile(OpsError):
    """The file that was named cannot be used; the words were wrong."""

    exit_status = 2


class Damaged(OpsError):
    """The file is not what its record says."""


class NoProgram(OpsError):
    """No program of PostgreSQL is new enough for the server."""


class Failed(OpsError):
    """PostgreSQL, one of its programs or the disk refused; nothing was changed."""


class NotConfirmed(OpsError):
    exit_status = 2


class InUse(OpsError):
    """Runs are active, or sessions cannot be ended: the database cannot be replaced now."""


@contextmanager
def told() -> Iterator[None]:
    """What the server said becomes an error for the operator."""
    try:
        yield
    except psycopg.Error as exc:
        if exc.sqlstate == READ_ONLY and (words := trouble.explain(exc)):
            raise Failed(words) from exc
        raise Failed(f"PostgreSQL refused: {str(exc).strip()}") from exc
