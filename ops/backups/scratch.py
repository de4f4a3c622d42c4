"""Databases that are there for a while: to try a backup in, or to restore one into before it is live."""

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
from ops.backups.properties import DatabaseProperties, read_database_properties
from ops.backups.server import Connection, Server

_SCRATCH_NAME = r".+_(verify|restore|drift|rehearsal)_\d{8}_\d{6}_[0-9a-f]{4}"
_MAX_BASE_BYTES = 63 - len("_rehearsal_20240128_143000_00aa")  # bytes: PostgreSQL cuts a name at 63
NO_TIMEOUTS = {"statement_timeout": "0", "lock_timeout": "0"}  # whatever our role has to live with elsewhere
# Whoever made one holds this lock as long as it lives; PostgreSQL lets go of it when the process is killed.
_ADVISORY_LOCK_SQL = "SELECT {}(hashtextextended(%s, 0))"


def utc_timestamp() -> str:
    return f"{datetime.now(UTC):%Y%m%d_%H%M%S}"


def truncate_database_name(name: str) -> str:
    """A database's name where that fits before what is put behind it, else its beginning and a sum of it."""
    if len(name.encode()) <= _MAX_BASE_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: _MAX_BASE_BYTES - 9].decode(errors='ignore')}_{digest}"


@contextmanager
def temporary_database(
    server: Server, purpose: str, remembered: DatabaseProperties | None = None
) -> Iterator[str]:
    """An empty database like the live one, gone after the block unless it has another name by then.

    Where there is no live one, it is like what a backup remembers. Raises Failed.
    """
    name = f"{truncate_database_name(server.database)}_{purpose}_{utc_timestamp()}_{secrets.token_hex(2)}"
    with server.connect_for_maintenance() as connection:
        connection.execute(_ADVISORY_LOCK_SQL.format("pg_advisory_lock"), [name])
        try:
            model = read_database_properties(server.database, connection.cursor()) or remembered
            create_database_like(connection, name, model)
            yield name
        finally:
            with suppress(psycopg.Error):  # the server is away: the next one finds it
                drop_database(connection, name)


@contextmanager
def temporary_alias(name: str, search_path: str | None = None, **settings: str) -> Iterator[str]:
    """An alias of Django's for another database of the same server, for this thread.

    It looks into the schemas of ``search_path``, whatever that database or its roles are set to; ``settings``
    are others of its session.
    """
    other = connections[DEFAULT_DB_ALIAS].copy(alias := f"on_{name}")
    other.settings_dict["NAME"] = name
    if search_path is not None:
        settings["search_path"] = search_path
    for setting in settings.items():
        _add_session_option(other.settings_dict["OPTIONS"], "=".join(setting))
    connections[alias] = other
    try:
        yield alias
    finally:
        other.close()
        del connections[alias]


def _add_session_option(options: dict[str, Any], setting: str) -> None:
    """A setting of the session; PostgreSQL splits them at spaces that have no backslash before them."""
    escaped = re.sub(r"([\\\s])", r"\\\1", setting)
    options["options"] = f"{options.get('options', '')} -c {escaped}".strip()


def drop_orphaned_databases(server: Server) -> list[str]:
    """Drop what killed commands left: nobody holds it. Their names."""
    dropped = []
    with server.connect_for_maintenance() as connection:
        for name in list_owned_databases(connection, _SCRATCH_NAME):
            if connection.execute(_ADVISORY_LOCK_SQL.format("pg_try_advisory_lock"), [name]).fetchone() == (
                True,
            ):
                drop_database(connection, name)
                connection.execute(_ADVISORY_LOCK_SQL.format("pg_advisory_unlock"), [name])
                dropped.append(name)
    return dropped


def list_owned_databases(connection: Connection, pattern: str) -> list[str]:
    """The names that match, of databases that are ours to drop."""
    statement = "SELECT datname FROM pg_database WHERE pg_has_role(datdba, 'USAGE') ORDER BY datname"
    names = [name for (name,) in connection.execute(statement).fetchall()]
    return [name for name in names if re.fullmatch(pattern, name)]


def drop_database(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
