"""What can go wrong with a backup or a restore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ops import server_errors
from ops.exceptions import OpsError
from ops.sqlstates import READ_ONLY_TRANSACTION


class InvalidBackupFile(OpsError):
    """The file that was named cannot be used; the words were wrong."""

    exit_status = 2


class CorruptBackup(OpsError):
    """The file is not what its record says."""


class ClientToolNotFound(OpsError):
    """No program of PostgreSQL is new enough for the server."""


class MaintenanceFailed(OpsError):
    """PostgreSQL, one of its programs or the disk refused; nothing was changed."""


class ConfirmationRequired(OpsError):
    exit_status = 2


class DatabaseInUse(OpsError):
    """Runs are active, or sessions cannot be ended: the database cannot be replaced now."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """What the server said becomes an error for the operator."""
    try:
        yield
    except psycopg.Error as exc:
        if exc.sqlstate == READ_ONLY_TRANSACTION and (words := server_errors.explain_server_error(exc)):
            raise MaintenanceFailed(words) from exc
        raise MaintenanceFailed(f"PostgreSQL refused: {str(exc).strip()}") from exc
