"""A new database like another: created with its locale, and given what else that one has of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import LiteralString

import psycopg
from psycopg import sql

from ops.backups.errors import Failed
from ops.backups.properties import Properties, properties_of
from ops.backups.server import Connection

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_LOCALES = {"i": "ICU_LOCALE", "b": "BUILTIN_LOCALE"}
# As in pg_dump: the values of these are names, each of which is quoted where it needs to be.
_LISTS_OF_NAMES = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
_PRIVILEGES = {name: sql.SQL(name) for name in ("CREATE", "CONNECT", "TEMPORARY")}
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^",\s][^,]*)')


def create_like(server: Connection, new: str, model: Properties | None) -> None:
    """An empty database of our own, with the encoding and the locale of another. Raises Failed."""
    _check_may_create(server)
    options = _options(model) if model else {"ENCODING": "UTF8"}
    told = [sql.SQL("{} {}").format(sql.SQL(name), sql.Literal(value)) for name, value in options.items()]
    if model and model["tablespace"] and _may_use(server, model["tablespace"]):
        told.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(model["tablespace"])))
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
    server.execute(statement.format(sql.Identifier(new), sql.SQL(" ").join(told)))


def _options(model: Properties) -> dict[LiteralString, str]:
    provider = model["provider"]
    options: dict[LiteralString, str | None] = {
        "ENCODING": model["encoding"],
        "LC_COLLATE": model["collate"],
        "LC_CTYPE": model["ctype"],
        "LOCALE_PROVIDER": _PROVIDERS[provider],
        "ICU_RULES": model["rules"],
    }
    if provider in _LOCALES:
        options[_LOCALES[provider]] = model["locale"]
    return {name: value for name, value in options.items() if value}


def _check_may_create(server: Connection) -> None:
    found = server.execute(
        "SELECT quote_ident(current_user), rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    for role, may in found.fetchall():
        if not may:
            raise Failed(
                f"The role {role} may not make databases, which this needs."
                f" As a superuser: ALTER ROLE {role} CREATEDB"
            )


def _may_use(server: Connection, tablespace: str) -> bool:
    statement = "SELECT has_tablespace_privilege(oid, 'CREATE') FROM pg_tablespace WHERE spcname = %s"
    return server.execute(statement, [tablespace]).fetchone() == (True,)


def make_like(server: Connection, database: str, model: Properties) -> list[str]:
    """Give the database what another has of its own, in the caller's transaction.

    The statements are returned that our role may not execute, for somebody who may.
    """
    refused = []
    for statement in _statements(sql.Identifier(database), model):
        try:
            with server.transaction():
                server.execute(statement)
        except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError):
            refused.append(statement.as_string(server))
    return [*refused, *_unmade(server, database, model)]


def _statements(database: sql.Identifier, model: Properties) -> Iterator[sql.Composed]:
    owner = sql.Identifier(model["owner"])
    yield sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner)
    for role, name, value in model["settings"]:
        if value is not None:
            yield sql.SQL("{} SET {} TO {}").format(
                _whose(role, database), _parameter(name), _value(name, value)
            )
    yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, sql.Literal(model["limit"]))
    if model["template"]:
        yield sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(database)
    if model["comment"] is not None:
        yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(model["comment"]))
    for provider, label in model["labels"]:
        yield sql.SQL("SECURITY LABEL FOR {} ON DATABASE {} IS {}").format(
            sql.Identifier(provider), database, sql.Literal(label)
        )
    if model["grants"] is not None:  # else they are the defaults, as those of any new database
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(database, owner)
        yield from _grants(database, model["grants"])


def _grants(database: sql.Identifier, grants: list[tuple[str, str | None, bool]]) -> Iterator[sql.Composed]:
    for privilege, grantee, grantable in grants:
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            _PRIVILEGES[privilege],
            database,
            sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grantable else ""),
        )


def _unmade(server: Connection, database: str, model: Properties) -> Iterator[str]:
    """What cannot be made in a transaction, or of what a backup tells."""
    name = sql.Identifier(database)
    for role, parameter, value in model["settings"]:
        if value is None:
            statement = sql.SQL("{} SET {} TO ...").format(_whose(role, name), _parameter(parameter))
            yield statement.as_string(server)
    now = properties_of(database, server.cursor())
    if now and now["tablespace"] != model["tablespace"]:
        tablespace = sql.Identifier(model["tablespace"] or "pg_default")
        yield sql.SQL("ALTER DATABASE {} SET TABLESPACE {}").format(name, tablespace).as_string(server)


def _whose(role: str | None, database: sql.Identifier) -> sql.Composed:
    if role is None:
        return sql.SQL("ALTER DATABASE {}").format(database)
    return sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)


def _parameter(name: str) -> sql.Composed:
    return sql.SQL(".").join(map(sql.Identifier, name.split(".")))


def _value(name: str, value: str) -> sql.Composable:
    """As stored: a list of names, which one literal would make a single name, stays a list."""
    if name.lower() not in _LISTS_OF_NAMES:
        return sql.Literal(value)
    names = [quoted.replace('""', '"') or plain.strip() for quoted, plain in _NAME.findall(value)]
    return sql.SQL(", ").join(map(sql.Literal, names or [""]))
