"""Scratch databases: to verify a backup, compare schemas, rehearse migrations, or restore before the swap."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import sql

from ops.backups.clone_database import create_database_like
from ops.backups.errors import translate_errors
from ops.backups.properties import DatabaseProperties, read_database_properties
from ops.backups.server import Connection, Server

_SCRATCH_NAME = r".+_(verify|restore|drift|rehearsal)_\d{8}_\d{6}_[0-9a-f]{4}"
_MAX_BASE_BYTES = 63 - len("_rehearsal_20240128_143000_00aa")  # bytes: PostgreSQL cuts a name at 63
NO_TIMEOUTS = {"statement_timeout": "0", "lock_timeout": "0"}  # instead of those of our role
# The process that uses a database holds this lock; PostgreSQL releases it when the process is killed.
_ADVISORY_LOCK_SQL = "SELECT {}(hashtextextended(%s, 0))"


def utc_timestamp() -> str:
    return f"{datetime.now(UTC):%Y%m%d_%H%M%S}"


def truncate_database_name(name: str) -> str:
    """Shorten the name to its beginning and a digest if the suffix of a scratch database would not fit."""
    if len(name.encode()) <= _MAX_BASE_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: _MAX_BASE_BYTES - 9].decode(errors='ignore')}_{digest}"


@contextmanager
def temporary_database(
    server: Server, purpose: str, manifest_properties: DatabaseProperties | None = None
) -> Iterator[str]:
    """Create an empty database like the live one, and drop it after the block unless it was renamed.

    If there is no live database, take its properties from the manifest. Raises MaintenanceFailed.
    """
    name = f"{truncate_database_name(server.database)}_{purpose}_{utc_timestamp()}_{secrets.token_hex(2)}"
    with server.connect_for_maintenance() as connection:
        connection.execute(_ADVISORY_LOCK_SQL.format("pg_advisory_lock"), [name])
        try:
            model = read_database_properties(server.database, connection.cursor()) or manifest_properties
            create_database_like(connection, name, model)
            yield name
        finally:
            with suppress(psycopg.Error):  # the server is away: the next command drops it
                drop_database(connection, name)


@contextmanager
def scratch_database(purpose: str) -> Iterator[str]:
    """Yield the name of a `temporary_database` of the default server. Raises MaintenanceFailed."""
    server = Server.default()
    with translate_errors():
        drop_orphaned_databases(server)
        with temporary_database(server, purpose) as name:
            yield name


@contextmanager
def temporary_alias(name: str, search_path: str | None = None, **settings: str) -> Iterator[str]:
    """Add a Django connection to another database of the server, for this thread.

    ``search_path`` and ``settings`` are set for its sessions, and override those of the database and roles.
    """
    connection = connections[DEFAULT_DB_ALIAS].copy(alias := f"on_{name}")
    connection.settings_dict["NAME"] = name
    if search_path is not None:
        settings["search_path"] = search_path
    for setting in settings.items():
        _add_session_option(connection.settings_dict["OPTIONS"], "=".join(setting))
    connections[alias] = connection
    try:
        yield alias
    finally:
        connection.close()
        del connections[alias]


def _add_session_option(options: dict[str, Any], setting: str) -> None:
    """Append a setting to libpq's ``options``, in which spaces and backslashes are escaped."""
    escaped = re.sub(r"([\\\s])", r"\\\1", setting)
    options["options"] = f"{options.get('options', '')} -c {escaped}".strip()


def drop_orphaned_databases(server: Server) -> list[str]:
    """Drop the scratch databases of killed commands, whose lock nobody holds; return their names."""
    dropped = []
    with server.connect_for_maintenance() as connection:
        for name in list_owned_databases(connection, _SCRATCH_NAME):
            locked = connection.execute(_ADVISORY_LOCK_SQL.format("pg_try_advisory_lock"), [name]).fetchone()
            if locked == (True,):
                drop_database(connection, name)
                connection.execute(_ADVISORY_LOCK_SQL.format("pg_advisory_unlock"), [name])
                dropped.append(name)
    return dropped


def list_owned_databases(connection: Connection, pattern: str) -> list[str]:
    """List the databases that our role owns and whose whole name matches the pattern."""
    statement = "SELECT datname FROM pg_database WHERE pg_has_role(datdba, 'USAGE') ORDER BY datname"
    names = [name for (name,) in connection.execute(statement).fetchall()]
    return [name for name in names if re.fullmatch(pattern, name)]


def drop_database(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
