"""What a server refuses although the statement is right, in words; and what to type about it.

A standby, a role that may not, a time limit, a full disk: nothing of it is the statement's fault.
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
from ops.sqlstates import LOCK_NOT_AVAILABLE, READ_ONLY_TRANSACTION, sqlstate

_TIMEOUTS = {
    "57014": "statement_timeout",
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57P05": "idle_session_timeout",
}
_SESSION_INFO_SQL = "SELECT pg_is_in_recovery(), current_user, current_database(), current_setting(%s, true)"
_SUGGESTED_TIMEOUT = "10min"


@dataclass(frozen=True)
class SessionInfo:
    """What a new session is told by the server; ``setting`` as the role has it."""

    is_standby: bool
    user: str
    database: str
    setting: str | None

    def alter(self, name: str, value: str) -> str:
        """What gives the role another setting from its next session on; it goes before all other defaults."""
        statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
            sql.Identifier(self.user), sql.Identifier(self.database), sql.SQL(name), sql.Literal(value)
        )
        return f"In psql: {statement.as_string()};"


def explain_server_error(error: BaseException) -> str | None:
    """Two lines: what was refused and why, and what to type. None where it is no such trouble."""
    state = sqlstate(error)
    told = _explain_timeout if state in _TIMEOUTS else _EXPLANATIONS.get(state)
    if told is None:
        return None
    first = first_line(error)
    return told(first, state)


def is_server_error(error: BaseException) -> bool:
    return (state := sqlstate(error)) in _TIMEOUTS or state in _EXPLANATIONS


def _explain_read_only(first: str, state: str) -> str | None:
    facts = _read_session_info("default_transaction_read_only")
    if facts is None or facts.is_standby:
        return (
            f"PostgreSQL at {server_address()} is a standby, which cannot be written: {first}\n"
            "Let DATABASE_URL name the primary; of several hosts: ?target_session_attrs=read-write"
        )
    if facts.setting == "on":
        todo = facts.alter("default_transaction_read_only", "off")
        server = f"PostgreSQL at {server_address()}"
        return f"{server} takes no writes (default_transaction_read_only): {first}\n{todo}"
    return None


def _explain_timeout(first: str, state: str) -> str:
    name = _TIMEOUTS[state]
    facts = _read_session_info(name)
    if facts is None or facts.setting in (None, "0"):
        return f"PostgreSQL stopped it: {first}\nSomebody ended it, or a limit of this statement: try again."
    told = f"PostgreSQL stopped it: {first} ({name} is {facts.setting} for the role {facts.user})"
    return f"{told}\n{facts.alter(name, _SUGGESTED_TIMEOUT)}"


def _explain_lock_timeout(first: str, state: str) -> str:
    see_who = manage_command("db_stats")
    return f"Somebody else holds what it needs: {first}\nTo see who: {see_who}. Then try again."


def _explain_insufficient_privilege(first: str, state: str) -> str:
    facts = _read_session_info("role")
    role = facts.user if facts else "of DATABASE_URL"
    return (
        f"The role {role} may not do that: {first}\nIts owner, or a superuser, can GRANT it; then try again."
    )


def _explain_missing_schema(first: str, state: str) -> str:
    return (
        f"A schema is missing: {first}\n"
        "CREATE SCHEMA makes it. One function of the triggers stands in public, wherever the tables are."
    )


def _explain_insufficient_resources(first: str, state: str) -> str:
    return f"The server has no room left: {first}\nTo see what there is: {manage_command('preflight')}"


_EXPLANATIONS: dict[str, Callable[[str, str], str | None]] = {
    READ_ONLY_TRANSACTION: _explain_read_only,
    LOCK_NOT_AVAILABLE: _explain_lock_timeout,
    "3F000": _explain_missing_schema,
    "42501": _explain_insufficient_privilege,
    "53100": _explain_insufficient_resources,
    "53200": _explain_insufficient_resources,
}


def server_address() -> str:
    """Of the server, as the settings have it."""
    named = connection.settings_dict
    return f"{named['HOST'] or 'localhost'}:{named['PORT'] or 5432}/{named['NAME']}"


def _read_session_info(setting: str) -> SessionInfo | None:
    """Over another connection, since ours may be in a failed transaction; None where none is had."""
    with suppress(Error), separate_connection("trouble") as other, other.cursor() as cursor:
        cursor.execute(_SESSION_INFO_SQL, [setting])
        return SessionInfo(*cursor.fetchone())
    return None
