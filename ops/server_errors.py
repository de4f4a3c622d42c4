"""Explain errors of the server that are not the statement's fault, and what to do about each.

A standby, a missing privilege, a timeout, a lock, a full disk.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from django.db import Error, connection
from psycopg import sql

from ops.command_lines import manage_command
from ops.db import separate_connection
from ops.formatting import first_line
from ops.sqlstates import LOCK_NOT_AVAILABLE, QUERY_CANCELED, READ_ONLY_TRANSACTION, sqlstate

_TIMEOUTS = {
    QUERY_CANCELED: "statement_timeout",
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57P05": "idle_session_timeout",
}
_SESSION_INFO_SQL = "SELECT pg_is_in_recovery(), current_user, current_database(), current_setting(%s, true)"
_SUGGESTED_TIMEOUT = "10min"
_CANCELLED = "Cancelled by PostgreSQL"


@dataclass(frozen=True)
class SessionInfo:
    """Facts of a new session; ``setting`` is the value that the role has of the setting in question."""

    is_standby: bool
    user: str
    database: str
    setting: str | None

    def alter_role_hint(self, name: str, value: str) -> str:
        """Return the statement that changes the role's setting; it has precedence over all other defaults."""
        statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
            sql.Identifier(self.user), sql.Identifier(self.database), sql.SQL(name), sql.Literal(value)
        )
        return f"In psql: {statement.as_string()};"


def explain_server_error(error: BaseException) -> str | None:
    """Return two lines, the reason and what to do; None for any other error."""
    state = sqlstate(error)
    explain = _explain_timeout if state in _TIMEOUTS else _EXPLANATIONS.get(state)
    return explain(first_line(error), state) if explain else None


def is_server_error(error: BaseException) -> bool:
    """Whether ``explain_server_error`` may explain the error."""
    return (state := sqlstate(error)) in _TIMEOUTS or state in _EXPLANATIONS


def _explain_read_only(message: str, state: str) -> str | None:
    facts = _read_session_info("default_transaction_read_only")
    if facts is None or facts.is_standby:
        return (
            f"PostgreSQL at {server_address()} is a standby, so it is read-only: {message}\n"
            "Set DATABASE_URL to the primary; if it has several hosts, add ?target_session_attrs=read-write"
        )
    if facts.setting == "on":
        todo = facts.alter_role_hint("default_transaction_read_only", "off")
        server = f"PostgreSQL at {server_address()}"
        return f"{server} is read-only (default_transaction_read_only is on): {message}\n{todo}"
    return None


def _explain_timeout(message: str, state: str) -> str:
    name = _TIMEOUTS[state]
    facts = _read_session_info(name)
    if facts is None or facts.setting in (None, "0"):
        return f"{_CANCELLED}: {message}\nAnother session or a timeout of KYNDO cancelled it. Try again."
    reason = f"{_CANCELLED}: {message} ({name} is {facts.setting} for the role {facts.user})"
    return f"{reason}\n{facts.alter_role_hint(name, _SUGGESTED_TIMEOUT)}"


def _explain_lock_timeout(message: str, state: str) -> str:
    command = manage_command("db_stats")
    return f"Another session holds a lock that is needed: {message}\nTo see which: {command}. Then try again."


def _explain_insufficient_privilege(message: str, state: str) -> str:
    facts = _read_session_info("role")
    role = facts.user if facts else "of DATABASE_URL"
    return (
        f"The role {role} lacks a privilege: {message}\n"
        "The owner of the object or a superuser can GRANT it. Then try again."
    )


def _explain_missing_schema(message: str, state: str) -> str:
    return (
        f"A schema is missing: {message}\n"
        "Create it with CREATE SCHEMA. One trigger function is always in the schema public."
    )


def _explain_insufficient_resources(message: str, state: str) -> str:
    command = manage_command("preflight")
    return f"The server is out of disk space or memory: {message}\nTo see what is free: {command}"


_EXPLANATIONS: dict[str, Callable[[str, str], str | None]] = {
    READ_ONLY_TRANSACTION: _explain_read_only,
    LOCK_NOT_AVAILABLE: _explain_lock_timeout,
    "3F000": _explain_missing_schema,
    "42501": _explain_insufficient_privilege,
    "53100": _explain_insufficient_resources,
    "53200": _explain_insufficient_resources,
}


def server_address() -> str:
    """Return the ``host:port/database`` of the settings."""
    config = connection.settings_dict
    return f"{config['HOST'] or 'localhost'}:{config['PORT'] or 5432}/{config['NAME']}"


def _read_session_info(setting: str) -> SessionInfo | None:
    """Read over another connection, since ours may be in a failed transaction; None if it cannot connect."""
    with suppress(Error), separate_connection("server_errors") as other, other.cursor() as cursor:
        cursor.execute(_SESSION_INFO_SQL, [setting])
        return SessionInfo(*cursor.fetchone())
    return None
