"""Create a database with the locale and the properties of another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import LiteralString

import psycopg
from psycopg import sql

from ops.backups.errors import MaintenanceFailed
from ops.backups.properties import DatabaseProperties, read_database_properties
from ops.backups.server import Connection

_LOCALE_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_LOCALE_OPTIONS = {"i": "ICU_LOCALE", "b": "BUILTIN_LOCALE"}
# Settings whose value is a list of names, each quoted if it needs to be; the same list as in pg_dump.
_LIST_SETTINGS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
_DATABASE_PRIVILEGES = {name: sql.SQL(name) for name in ("CREATE", "CONNECT", "TEMPORARY")}
_IDENTIFIER_PATTERN = re.compile(r'"((?:[^"]|"")*)"|([^",\s][^,]*)')


def create_database_like(server: Connection, new: str, model: DatabaseProperties | None) -> None:
    """Create an empty database, owned by our role, with the encoding and the locale of another.

    Raises MaintenanceFailed if our role may not create databases.
    """
    _check_createdb(server)
    options = _create_options(model) if model else {"ENCODING": "UTF8"}
    clauses = [sql.SQL("{} {}").format(sql.SQL(name), sql.Literal(value)) for name, value in options.items()]
    if model and model["tablespace"] and _may_use_tablespace(server, model["tablespace"]):
        clauses.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(model["tablespace"])))
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
    server.execute(statement.format(sql.Identifier(new), sql.SQL(" ").join(clauses)))


def _create_options(model: DatabaseProperties) -> dict[LiteralString, str]:
    provider = model["provider"]
    options: dict[LiteralString, str | None] = {
        "ENCODING": model["encoding"],
        "LC_COLLATE": model["collate"],
        "LC_CTYPE": model["ctype"],
        "LOCALE_PROVIDER": _LOCALE_PROVIDERS[provider],
        "ICU_RULES": model["rules"],
    }
    if provider in _LOCALE_OPTIONS:
        options[_LOCALE_OPTIONS[provider]] = model["locale"]
    return {name: value for name, value in options.items() if value}


def _check_createdb(server: Connection) -> None:
    rows = server.execute(
        "SELECT quote_ident(current_user), rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    for role, allowed in rows.fetchall():
        if not allowed:
            raise MaintenanceFailed(
                f"The role {role} may not create databases, which this command needs."
                f" As a superuser: ALTER ROLE {role} CREATEDB"
            )


def _may_use_tablespace(server: Connection, tablespace: str) -> bool:
    statement = "SELECT has_tablespace_privilege(oid, 'CREATE') FROM pg_tablespace WHERE spcname = %s"
    return server.execute(statement, [tablespace]).fetchone() == (True,)


def apply_database_properties(server: Connection, database: str, model: DatabaseProperties) -> list[str]:
    """Give the database the properties of another, in the caller's transaction.

    Returns the statements that our role may not execute.
    """
    refused = []
    for statement in _property_statements(sql.Identifier(database), model):
        try:
            with server.transaction():
                server.execute(statement)
        except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError):
            refused.append(statement.as_string(server))
    return [*refused, *_manual_statements(server, database, model)]


def _property_statements(database: sql.Identifier, model: DatabaseProperties) -> Iterator[sql.Composed]:
    owner = sql.Identifier(model["owner"])
    yield sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner)
    for role, name, value in model["settings"]:
        if value is not None:
            yield sql.SQL("{} SET {} TO {}").format(
                _alter_clause(role, database), _quote_setting_name(name), _quote_setting_value(name, value)
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
    if model["grants"] is not None:  # None are the defaults, which a new database has
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(database, owner)
        yield from _grant_statements(database, model["grants"])


def _grant_statements(
    database: sql.Identifier, grants: list[tuple[str, str | None, bool]]
) -> Iterator[sql.Composed]:
    for privilege, grantee, grantable in grants:
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            _DATABASE_PRIVILEGES[privilege],
            database,
            sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grantable else ""),
        )


def _manual_statements(server: Connection, database: str, model: DatabaseProperties) -> Iterator[str]:
    """Return statements that cannot run in a transaction, or whose value is not in the manifest."""
    name = sql.Identifier(database)
    for role, parameter, value in model["settings"]:
        if value is None:
            statement = sql.SQL("{} SET {} TO ...").format(
                _alter_clause(role, name), _quote_setting_name(parameter)
            )
            yield statement.as_string(server)
    current = read_database_properties(database, server.cursor())
    if current and current["tablespace"] != model["tablespace"]:
        tablespace = sql.Identifier(model["tablespace"] or "pg_default")
        yield sql.SQL("ALTER DATABASE {} SET TABLESPACE {}").format(name, tablespace).as_string(server)


def _alter_clause(role: str | None, database: sql.Identifier) -> sql.Composed:
    if role is None:
        return sql.SQL("ALTER DATABASE {}").format(database)
    return sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)


def _quote_setting_name(name: str) -> sql.Composed:
    return sql.SQL(".").join(map(sql.Identifier, name.split(".")))


def _quote_setting_value(name: str, value: str) -> sql.Composable:
    """Quote the value as one literal, or each name of a list as a literal of its own."""
    if name.lower() not in _LIST_SETTINGS:
        return sql.Literal(value)
    names = [
        quoted.replace('""', '"') or plain.strip() for quoted, plain in _IDENTIFIER_PATTERN.findall(value)
    ]
    return sql.SQL(", ").join(map(sql.Literal, names or [""]))
