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

from ops.backups.likeness import create_like
from ops.backups.properties import Properties, properties_of
from ops.backups.server import Connection, Server

_NAME = r".+_(verify|restore|drift|rehearsal)_\d{8}_\d{6}_[0-9a-f]{4}"
_LONGEST = 63 - len("_rehearsal_20240128_143000_00aa")  # bytes: PostgreSQL cuts a name at 63
UNHURRIED = {"statement_timeout": "0", "lock_timeout": "0"}  # whatever our role has to live with elsewhere
# Whoever made one holds this lock as long as it lives; PostgreSQL lets go of it when the process is killed.
_LOCK = "SELECT {}(hashtextextended(%s, 0))"


def stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%d_%H%M%S}"


def base(name: str) -> str:
    """A database's name where that fits before what is put behind it, else its beginning and a sum of it."""
    if len(name.encode()) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: _LONGEST - 9].decode(errors='ignore')}_{digest}"


@contextmanager
def scratch(server: Server, purpose: str, remembered: Properties | None = None) -> Iterator[str]:
    """An empty database like the live one, gone after the block unless it has another name by then.

    Where there is no live one, it is like what a backup remembers. Raises Failed.
    """
    name = f"{base(server.database)}_{purpose}_{stamp()}_{secrets.token_hex(2)}"
    with server.maintenance() as connection:
        connection.execute(_LOCK.format("pg_advisory_lock"), [name])
        try:
            model = properties_of(server.database, connection.cursor()) or remembered
            create_like(connection, name, model)
            yield name
        finally:
            with suppress(psycopg.Error):  # the server is away: the next one finds it
                drop(connection, name)


@contextmanager
def connected(name: str, search_path: str | None = None, **settings: str) -> Iterator[str]:
    """An alias of Django's for another database of the same server, for this thread.

    It looks into the schemas of ``search_path``, whatever that database or its roles are set to; ``settings``
    are others of its session.
    """
    other = connections[DEFAULT_DB_ALIAS].copy(alias := f"on_{name}")
    other.settings_dict["NAME"] = name
    if search_path is not None:
        settings["search_path"] = search_path
    for setting in settings.items():
        _add_option(other.settings_dict["OPTIONS"], "=".join(setting))
    connections[alias] = other
    try:
        yield alias
    finally:
        other.close()
        del connections[alias]


def _add_option(options: dict[str, Any], setting: str) -> None:
    """A setting of the session; PostgreSQL splits them at spaces that have no backslash before them."""
    escaped = re.sub(r"([\\\s])", r"\\\1", setting)
    options["options"] = f"{options.get('options', '')} -c {escaped}".strip()


def clear_left(server: Server) -> list[str]:
    """Drop what killed commands left: nobody holds it. Their names."""
    dropped = []
    with server.maintenance() as connection:
        for name in databases(connection, _NAME):
            if connection.execute(_LOCK.format("pg_try_advisory_lock"), [name]).fetchone() == (True,):
                drop(connection, name)
                connection.execute(_LOCK.format("pg_advisory_unlock"), [name])
                dropped.append(name)
    return dropped


def databases(connection: Connection, pattern: str) -> list[str]:
    """The names that match, of databases that are ours to drop."""
    statement = "SELECT datname FROM pg_database WHERE pg_has_role(datdba, 'USAGE') ORDER BY datname"
    names = [name for (name,) in connection.execute(statement).fetchall()]
    return [name for name in names if re.fullmatch(pattern, name)]


def drop(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
