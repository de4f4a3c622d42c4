"""A session of one's own, which a pooler in transaction mode does not give: see docs/poolers.md.

What needs one, or needs the server's other databases, goes past the pooler: over DIRECT_DATABASE_URL.

# Note [How a pooler is noticed]
Two sessions have each a backend of their own as long as they live. Behind a pooler that deals its backends
out transaction by transaction two idle clients are served by the same one, or one client by one and then by
another. Nothing is set for it, so nothing is left behind on a backend that is not ours.
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

_PROBE_ROUNDS = 8
_DOCS_PAGE = "docs/poolers.md"
LIBPQ_KEYWORDS = {option.keyword.decode() for option in Conninfo.get_defaults()}


class SessionRequired(OpsError):
    """A pooler stands where a session is needed, or the second URL leads elsewhere."""

    exit_status = 2


def database_name() -> str:
    """The database's own name; a pooler may call it otherwise."""
    direct: Mapping[str, Any] | None = settings.DIRECT_DATABASE
    return str((direct or connections[DEFAULT_DB_ALIAS].settings_dict)["NAME"])


@contextmanager
def direct_connection() -> Iterator[None]:
    """Have this thread's connection lead over DIRECT_DATABASE_URL, if set. Raises NeedsSession."""
    if settings.DIRECT_DATABASE is None:
        yield
        return
    ours = connections[DEFAULT_DB_ALIAS]
    other = ours.copy()
    other.settings_dict = {**ours.settings_dict, **settings.DIRECT_DATABASE}
    _require_reachable(libpq_parameters(other))
    _require_unpooled(libpq_parameters(other), "This command")
    _require_same_database(libpq_parameters(ours), libpq_parameters(other))
    connections[DEFAULT_DB_ALIAS] = other
    try:
        yield
    finally:
        other.close()
        connections[DEFAULT_DB_ALIAS] = ours


def require_session(what: str) -> None:
    """Raise NeedsSession, which names what needs it, where this thread's connection is behind a pooler."""
    _require_unpooled(libpq_parameters(connections[DEFAULT_DB_ALIAS]), what)


def _require_unpooled(params: Mapping[str, Any], what: str) -> None:
    if not _is_pooled(params):
        return
    given = settings.DIRECT_DATABASE is not None
    found = "DIRECT_DATABASE_URL" if given else "DATABASE_URL"
    todo = "Let it name" if given else "Set DIRECT_DATABASE_URL to"
    raise SessionRequired(
        f"{what} needs a session of its own, and {found} leads to a pooler that gives each transaction"
        f" another one.\n{todo} the PostgreSQL server itself: {_DOCS_PAGE}"
    )


def libpq_parameters(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """What libpq is told of a connection of Django's."""
    told = connection.get_connection_params()
    return {key: value for key, value in told.items() if key in LIBPQ_KEYWORDS and value not in (None, "")}


def _is_pooled(params: Mapping[str, Any]) -> bool:
    """See Note [How a pooler is noticed]. Of what cannot be reached, whoever goes there tells."""
    with suppress(psycopg.OperationalError), _connect(params) as one, _connect(params) as other:
        seen: tuple[set[int], set[int]] = (set(), set())
        for _ in range(_PROBE_ROUNDS):
            for connection, pids in zip((one, other), seen, strict=True):
                pids |= {pid for (pid,) in connection.execute("SELECT pg_backend_pid()").fetchall()}
        return len(seen[0]) > 1 or len(seen[1]) > 1 or seen[0] == seen[1]
    return False


def _require_reachable(params: Mapping[str, Any]) -> None:
    """Of the server: the database itself may be gone, and a restore is what brings it back."""
    server = {**params, "dbname": "postgres" if params.get("dbname") != "postgres" else "template1"}
    try:
        try:
            _connect(params).close()
        except psycopg.OperationalError:
            _connect(server).close()
    except psycopg.OperationalError as exc:
        address = f"{params.get('host', 'localhost')}:{params.get('port', 5432)}/{params.get('dbname')}"
        first = first_line(exc)
        raise SessionRequired(
            f"PostgreSQL cannot be used at {address}: {first}"
            f"\nDIRECT_DATABASE_URL names it: check the URL and the server. {_DOCS_PAGE}"
        ) from exc


def _require_same_database(ours: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """An advisory lock of a transaction is the database's: what holds it there is met here."""
    key = [secrets.randbits(62)]
    with suppress(psycopg.OperationalError), _connect(ours) as here, _connect(other) as there:
        with there.transaction():
            there.execute("SELECT pg_advisory_xact_lock(%s)", key)
            [free] = here.execute("SELECT pg_try_advisory_xact_lock(%s)", key).fetchone() or [False]
        if free:
            raise SessionRequired(
                "DIRECT_DATABASE_URL leads to another database than DATABASE_URL, so nothing was done."
                f"\nLet both name the same one: {_DOCS_PAGE}"
            )


def _connect(params: Mapping[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(**params, autocommit=True, prepare_threshold=None)
