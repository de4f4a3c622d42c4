"""What the modules of `migrate` share: settings of a session, and the error of one that is blocked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.sql.query import fetch_all

POLL_SECONDS = 0.5
Report = Callable[[str], object]


class MigrationBlocked(OpsError):
    """A lock was not free in time, or a statement took too long."""


@dataclass(frozen=True)
class Limits:
    """How long a statement waits for a lock, and how long a transaction keeps it; None without a limit."""

    lock: timedelta | None
    statement: timedelta | None


def then_migrate() -> str:
    return f"Then: {manage_command('migrate')}"


def read_setting(connection: BaseDatabaseWrapper, name: str) -> str:
    return str(fetch_value(connection, "SELECT current_setting(%s)", name))


def read_milliseconds(connection: BaseDatabaseWrapper, name: str) -> timedelta | None:
    """Return a setting that is a time; None for 0, which is no limit."""
    query = "SELECT setting::int FROM pg_settings WHERE name = %s"
    return timedelta(milliseconds=fetch_value(connection, query, name)) or None


def set_setting(connection: BaseDatabaseWrapper, name: str, value: str, is_local: bool) -> None:
    fetch_value(connection, "SELECT set_config(%s, %s, %s)", name, value, is_local)


def fetch_value(connection: BaseDatabaseWrapper, query: str, *params: Any) -> Any:
    """Return the one value of the first row; None if there is no row."""
    rows = fetch_all(query, *params, using=connection)
    return rows[0][0] if rows else None
