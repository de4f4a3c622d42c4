"""What a server refuses although the statement is right, in words; and what to type about it.

A standby, a role that may not, a time limit, a full disk: nothing of it is the statement's fault.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from django.db import Error, connection
from psycopg import sql

from ops.db import beside
from ops.sqlstates import LOCK_NOT_AVAILABLE, READ_ONLY, sqlstate
from ops.typed import manage

_LIMITS = {
    "57014": "statement_timeout",
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57P05": "idle_session_timeout",
}
_FACTS = "SELECT pg_is_in_recovery(), current_user, current_database(), current_setting(%s, true)"
_LONGER = "10min"


@dataclass(frozen=True)
class Facts:
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


def explain(error: BaseException) -> str | None:
    """Two lines: what was refused and why, and what to type. None where it is no such trouble."""
    state = sqlstate(error)
    told = _limit if state in _LIMITS else _TOLD.get(state)
    if told is None:
        return None
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return told(first, state)


def is_told(error: BaseException) -> bool:
    return (state := sqlstate(error)) in _LIMITS or state in _TOLD


def _read_only(first: str, state: str) -> str | None:
    facts = _facts("default_transaction_read_only")
    if facts is None or facts.is_standby:
        return (
            f"PostgreSQL at {address()} is a standby, which cannot be written: {first}\n"
            "Let DATABASE_URL name the primary; of several hosts: ?target_session_attrs=read-write"
        )
    if facts.setting == "on":
        todo = facts.alter("default_transaction_read_only", "off")
        return f"PostgreSQL at {address()} takes no writes (default_transaction_read_only): {first}\n{todo}"
    return None


def _limit(first: str, state: str) -> str:
    name = _LIMITS[state]
    facts = _facts(name)
    if facts is None or facts.setting in (None, "0"):
        return f"PostgreSQL stopped it: {first}\nSomebody ended it, or a limit of this statement: try again."
    told = f"PostgreSQL stopped it: {first} ({name} is {facts.setting} for the role {facts.user})"
    return f"{told}\n{facts.alter(name, _LONGER)}"


def _locked(first: str, state: str) -> str:
    return f"Somebody else holds what it needs: {first}\nTo see who: {manage('db_stats')}. Then try again."


def _forbidden(first: str, state: str) -> str:
    facts = _facts("role")
    role = facts.user if facts else "of DATABASE_URL"
    return (
        f"The role {role} may not do that: {first}\nIts owner, or a superuser, can GRANT it; then try again."
    )


def _no_schema(first: str, state: str) -> str:
    return (
        f"A schema is missing: {first}\n"
        "CREATE SCHEMA makes it. One function of the triggers stands in public, wherever the tables are."
    )


def _full(first: str, state: str) -> str:
    return f"The server has no room left: {first}\nTo see what there is: {manage('preflight')}"


_TOLD: dict[str, Callable[[str, str], str | None]] = {
    READ_ONLY: _read_only,
    LOCK_NOT_AVAILABLE: _locked,
    "3F000": _no_schema,
    "42501": _forbidden,
    "53100": _full,
    "53200": _full,
}


def address() -> str:
    """Of the server, as the settings have it."""
    named = connection.settings_dict
    return f"{named['HOST'] or 'localhost'}:{named['PORT'] or 5432}/{named['NAME']}"


def _facts(setting: str) -> Facts | None:
    """Over another connection, since ours may be in a failed transaction; None where none is had."""
    with suppress(Error), beside("trouble") as other, other.cursor() as cursor:
        cursor.execute(_FACTS, [setting])
        return Facts(*cursor.fetchone())
    return None
