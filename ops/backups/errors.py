"""The errors of backups and restores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ops import server_errors
from ops.exceptions import OpsError
from ops.sqlstates import READ_ONLY_TRANSACTION


class InvalidBackupFile(OpsError):
    """The file cannot be used, because of what was typed."""

    exit_status = 2


class CorruptBackup(OpsError):
    """The file does not match its manifest."""


class ClientToolNotFound(OpsError):
    """No installed client tool is new enough for the server, or can connect to it."""


class MaintenanceFailed(OpsError):
    """PostgreSQL, a client tool or the disk failed; nothing was changed."""


class ConfirmationRequired(OpsError):
    """The name of the database was not given by --confirm."""

    exit_status = 2


class DatabaseInUse(OpsError):
    """Runs are active, or sessions cannot be ended: the database cannot be replaced now."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Convert psycopg errors into MaintenanceFailed."""
    try:
        yield
    except psycopg.Error as exc:
        if exc.sqlstate == READ_ONLY_TRANSACTION and (message := server_errors.explain_server_error(exc)):
            raise MaintenanceFailed(message) from exc
        raise MaintenanceFailed(f"PostgreSQL refused: {str(exc).strip()}") from exc
