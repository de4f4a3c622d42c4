"""A database made for a moment, beside the real one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection, connections
from psycopg import sql

from ops.exceptions import OpsError
from ops.sql.ask import ask

_LONGEST = 46  # of the 63 bytes of a name, what the rest of it leaves


class NoScratch(OpsError):
    """The server does not let us make a database."""


@contextmanager
def scratch_database() -> Iterator[str]:
    """The alias of a connection to an empty database, which is dropped at the end. Raises NoScratch."""
    alias = f"scratch_{secrets.token_hex(4)}"
    name = scratch_name(str(connection.settings_dict["NAME"]))
    _create(name)
    try:
        with connected(alias, name):
            yield alias
    finally:
        _run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@contextmanager
def connected(alias: str, name: str) -> Iterator[None]:
    """Let the ORM know another database of the same server by an alias, for this thread."""
    other = connection.copy(alias)
    other.settings_dict["NAME"] = name
    connections[alias] = other
    try:
        yield
    finally:
        other.close()
        del connections[alias]


def scratch_name(database: str) -> str:
    """A name that says whose scratch it is, and that a killed command's leavings are found by."""
    return f"{_beginning(database)}{secrets.token_hex(4)}"


def leftovers() -> list[str]:
    """Scratch databases of ours that nobody is connected to: a command was killed before it dropped them."""
    beginning = _beginning(str(connection.settings_dict["NAME"]))
    found = ask(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND NOT EXISTS"
        " (SELECT FROM pg_stat_activity WHERE pg_stat_activity.datname = pg_database.datname)"
        " ORDER BY datname",
        beginning,
    )
    return [name for (name,) in found]


def _beginning(database: str) -> str:
    return database.encode()[:_LONGEST].decode(errors="ignore") + "_scratch_"


def _create(name: str) -> None:
    try:
        _run("CREATE DATABASE {} TEMPLATE template0", name)
    except DatabaseError as exc:
        raise NoScratch(
            f"no scratch database can be made: {str(exc).splitlines()[0]}."
            f' To allow it: ALTER ROLE "{connection.settings_dict["USER"]}" CREATEDB'
        ) from exc


def _run(statement: str, name: str) -> None:
    with connection._nodb_cursor() as cursor:  # no transaction of ours is open there
        cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
