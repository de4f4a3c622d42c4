"""Connection parameters of the database server, for psycopg and for PostgreSQL's client tools."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import Conninfo

from ops.session import libpq_parameters, require_session

Connection = psycopg.Connection[tuple[Any, ...]]
# Connection keyword: environment variable, as libpq names them.
_LIBPQ_ENV_VARS = {o.keyword.decode(): o.envvar.decode() for o in Conninfo.get_defaults() if o.envvar}

_TIMEOUT_SETTINGS = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
]


class Cursor(Protocol):
    """A cursor of psycopg or of Django."""

    def execute(self, query: Any, params: Any = None) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Any: ...


class Server:
    """A server and the name of its live database. The password is in no argument, message or repr."""

    def __init__(self, params: Mapping[str, Any], database: str | None = None) -> None:
        self._params = {k: str(v) for k, v in params.items() if k in _LIBPQ_ENV_VARS and v not in (None, "")}
        self.database = database or self._params.get("dbname", "postgres")

    @classmethod
    def default(cls) -> Server:
        """Build it from Django's default connection. Raises SessionRequired behind a transaction pooler."""
        require_session("Creating or renaming a database")
        return cls(libpq_parameters(connections[DEFAULT_DB_ALIAS]))

    @property
    def address(self) -> str:
        return f"{self._params.get('host', 'localhost')}:{self._params.get('port', '5432')}"

    def connect(self, database: str) -> Connection:
        """Connect in autocommit mode, with all timeouts off."""
        params: dict[str, Any] = {**self._params, "dbname": database, "application_name": "backups"}
        connection = psycopg.connect(**params, autocommit=True)
        connection.execute(
            "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY(%s)", [_TIMEOUT_SETTINGS]
        )
        return connection

    def read_search_path(self) -> str:
        """Read the search_path of a session in the live database."""
        with self.connect(self.database) as connection:
            return str(connection.execute("SHOW search_path").fetchall()[0][0])

    def connect_for_maintenance(self) -> Connection:
        """Connect to ``postgres``, else ``template1``: a database cannot be renamed from within."""
        if self.database == "postgres":
            return self.connect("template1")
        try:
            return self.connect("postgres")
        except psycopg.OperationalError:
            with suppress(psycopg.OperationalError):
                return self.connect("template1")
            raise

    def with_required_tls(self) -> Server:
        """Return the same server, with an sslmode that refuses unencrypted connections."""
        strict = ("require", "verify-ca", "verify-full")
        sslmode = self._params.get("sslmode")
        return Server({**self._params, "sslmode": sslmode if sslmode in strict else "require"}, self.database)

    def libpq_environment(self, database: str) -> dict[str, str]:
        """Build the environment of a client tool: our parameters instead of the caller's PG variables."""
        variables = {_LIBPQ_ENV_VARS[keyword]: value for keyword, value in self._params.items()}
        others = {k: v for k, v in os.environ.items() if k not in _LIBPQ_ENV_VARS.values()}
        return {**others, **variables, "PGDATABASE": database, "PGAPPNAME": "backups", "LC_ALL": "C"}

    def redact_password(self, text: str) -> str:
        password = self._params.get("password", "")
        return text.replace(password, "***") if len(password) > 3 else text
