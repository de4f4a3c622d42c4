"""The time for which a transaction may hold a lock that keeps players waiting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from ops.db import format_milliseconds
from ops.formatting import format_duration
from ops.migrate.catalog import Catalog, Table
from ops.migrate.lock_modes import LockMode, find_locks
from ops.migrate.lock_wait import LockWait
from ops.migrate.session_settings import (
    Limits,
    MigrationBlocked,
    fetch_value,
    set_setting,
    then_migrate,
)

_LOCKS_TABLES = re.compile(r"(?:ALTER|CREATE|DROP|TRUNCATE|LOCK|CLUSTER|REFRESH|REINDEX)\b", re.IGNORECASE)


class HoldLimit:
    """Apply the statement_timeout to all that a transaction does from its first such lock on.

    PostgreSQL counts it for each statement, so it is lowered by what has passed before each of them; the time
    between them is limited too. transaction_timeout, since PostgreSQL 17, would end the session. ``ours`` are
    the timeouts that each transaction has to set, as its session cannot.
    """

    def __init__(self, catalog: Catalog, limits: Limits, ours: Mapping[str, timedelta]) -> None:
        self.catalog, self.connection, self.ours = catalog, catalog.connection, ours
        self.limit = limits.statement
        self.lock_wait = LockWait(self.connection, limits.lock)
        self.block: tuple[Any, ...] = ()
        self.transaction: datetime | None = None
        self.since = 0.0
        self.is_applying = False

    def apply(self, statement: str) -> None:
        """Before a statement in a transaction: wait for its locks if they are the first, set what is left.

        Raises MigrationBlocked if nothing is.
        """
        if self.is_applying:
            return
        self.is_applying = True  # the queries of this are statements too
        try:
            if self.ours:
                self._set_ours()
            self._apply(statement)
        finally:
            self.is_applying = False

    def _set_ours(self) -> None:
        """Set the timeouts of a transaction; again in a savepoint and after it, which may have undone it."""
        block = (fetch_value(self.connection, "SELECT now()"), *self.connection.savepoint_ids)
        if block != self.block:
            self.block = block
            for name, limit in self.ours.items():
                set_setting(self.connection, name, format_milliseconds(limit), is_local=True)

    def _apply(self, statement: str) -> None:
        locks = self._find_locks(statement)
        if self.transaction is None and not locks:
            return
        began = fetch_value(self.connection, "SELECT now()")
        if began == self.transaction:
            self._lower_timeout()
        elif locks:
            self.lock_wait.wait(statement, locks)
            self.transaction, self.since = began, monotonic()
            self._set_timeouts()
        else:
            self.transaction = None

    def _set_timeouts(self) -> None:
        if self.limit is not None:
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                set_setting(self.connection, name, format_milliseconds(self.limit), is_local=True)

    def _lower_timeout(self) -> None:
        if self.limit is None:
            return
        left = self.limit - timedelta(seconds=monotonic() - self.since)
        if left < timedelta(milliseconds=1):
            raise MigrationBlocked(
                f"The migration has locked a table for {format_duration(self.limit)}, and was rolled back."
                " If players can wait longer: --statement-timeout 10min.",
                then_migrate(),
            )
        set_setting(self.connection, "statement_timeout", format_milliseconds(left), is_local=True)

    def _find_locks(self, statement: str) -> dict[Table, LockMode]:
        """Return the locks on live tables that make players wait."""
        if not self.catalog.live or not _LOCKS_TABLES.match(statement):
            return {}
        named = {name: mode for name, mode in find_locks(statement).items() if mode.blocks_players}
        tables = {self.catalog.table(name): mode for name, mode in named.items()}
        return {table: mode for table, mode in tables.items() if table and table.is_live}
