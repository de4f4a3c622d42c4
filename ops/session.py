"""Direct connections, past a pooler in transaction mode, for what needs a session: see docs/poolers.md.

What needs a session, or the other databases of the server, connects by DIRECT_DATABASE_URL.

# Note [How a pooler is detected]
Without a pooler, each of two sessions has one server process (backend) all the time. Behind a pooler in
transaction mode two idle clients use the same backend, or one client uses different ones in turn. The check
sets nothing in a session, so it leaves nothing behind on a backend that others use.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import Conninfo

from ops.exceptions import OpsError
from ops.formatting import first_line

# Not in turn: a pooler that deals out two backends round-robin would give each client always the same one.
_PROBE_ORDER = (0, 1, 0, 0, 1, 1, 0, 1) * 2
_DOCS_PAGE = "docs/poolers.md"
LIBPQ_KEYWORDS = {option.keyword.decode() for option in Conninfo.get_defaults()}


class SessionRequired(OpsError):
    """A session is needed, but the URL points to a pooler; or DIRECT_DATABASE_URL is wrong."""

    exit_status = 2


def database_name() -> str:
    """Return the name of the database on its server; a pooler may use an alias for it."""
    direct: Mapping[str, Any] | None = settings.DIRECT_DATABASE
    return str((direct or connections[DEFAULT_DB_ALIAS].settings_dict)["NAME"])


@contextmanager
def direct_connection() -> Iterator[None]:
    """Use DIRECT_DATABASE_URL, if set, for this thread's connection. Raises SessionRequired."""
    if settings.DIRECT_DATABASE is None:
        yield
        return
    usual = connections[DEFAULT_DB_ALIAS]
    direct = usual.copy()
    direct.settings_dict = {**usual.settings_dict, **settings.DIRECT_DATABASE}
    _require_reachable(libpq_parameters(direct))
    _require_unpooled(libpq_parameters(direct), "This command")
    _require_same_database(libpq_parameters(usual), libpq_parameters(direct))
    connections[DEFAULT_DB_ALIAS] = direct
    try:
        yield
    finally:
        direct.close()
        connections[DEFAULT_DB_ALIAS] = usual


def require_session(action: str) -> None:
    """Raise SessionRequired, which names the action, if this thread's connection is behind a pooler."""
    _require_unpooled(libpq_parameters(connections[DEFAULT_DB_ALIAS]), action)


def is_pooled(alias: str) -> bool:
    """Whether the connection goes through a pooler in transaction mode; False if the server is away."""
    return _is_pooled(libpq_parameters(connections[alias]))


def _require_unpooled(params: Mapping[str, Any], action: str) -> None:
    if not _is_pooled(params):
        return
    variable = "DATABASE_URL" if settings.DIRECT_DATABASE is None else "DIRECT_DATABASE_URL"
    raise SessionRequired(
        f"{action} needs a session of its own, but {variable} points to a pooler in transaction mode."
        f"\nSet DIRECT_DATABASE_URL to the PostgreSQL server itself: {_DOCS_PAGE}"
    )


def libpq_parameters(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return the libpq parameters of a Django connection."""
    params = connection.get_connection_params()
    return {key: value for key, value in params.items() if key in LIBPQ_KEYWORDS and value not in (None, "")}


def _is_pooled(params: Mapping[str, Any]) -> bool:
    """See Note [How a pooler is detected]. False if the server cannot be reached."""
    with suppress(psycopg.OperationalError), _connect(params) as first, _connect(params) as second:
        clients, pids_by_client = (first, second), (set[int](), set[int]())
        for client in _PROBE_ORDER:
            [(pid,)] = clients[client].execute("SELECT pg_backend_pid()").fetchall()
            pids_by_client[client].add(pid)
        first_pids, second_pids = pids_by_client
        return len(first_pids) > 1 or len(second_pids) > 1 or first_pids == second_pids
    return False


def _require_reachable(params: Mapping[str, Any]) -> None:
    """Require the server only: the database may be missing, as before a restore."""
    server = {**params, "dbname": "postgres" if params.get("dbname") != "postgres" else "template1"}
    try:
        try:
            _connect(params).close()
        except psycopg.OperationalError:
            _connect(server).close()
    except psycopg.OperationalError as exc:
        address = f"{params.get('host', 'localhost')}:{params.get('port', 5432)}/{params.get('dbname')}"
        raise SessionRequired(
            f"PostgreSQL cannot be used at {address}: {first_line(exc)}"
            f"\nCheck DIRECT_DATABASE_URL and the server: {_DOCS_PAGE}"
        ) from exc


def _require_same_database(usual: Mapping[str, Any], direct: Mapping[str, Any]) -> None:
    """Compare by an advisory lock, which belongs to one database: taken over one URL, it blocks the other."""
    key = [secrets.randbits(62)]
    with suppress(psycopg.OperationalError), _connect(usual) as here, _connect(direct) as there:
        with there.transaction():
            there.execute("SELECT pg_advisory_xact_lock(%s)", key)
            [free] = here.execute("SELECT pg_try_advisory_xact_lock(%s)", key).fetchone() or [False]
        if free:
            raise SessionRequired(
                "DIRECT_DATABASE_URL and DATABASE_URL point to different databases. Nothing was changed."
                f"\nSet both to the same database: {_DOCS_PAGE}"
            )


def _connect(params: Mapping[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(**params, autocommit=True, prepare_threshold=None)
