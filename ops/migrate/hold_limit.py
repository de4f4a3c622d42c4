"""The time for which a transaction may hold a lock that keeps players waiting."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from time import monotonic

from ops.db import format_milliseconds
from ops.formatting import format_duration
from ops.migrate.catalog import Catalog, Table
from ops.migrate.lock_modes import LockMode, find_locks
from ops.migrate.lock_wait import LockWait
from ops.migrate.session_settings import (
    MigrationBlocked,
    fetch_value,
    read_milliseconds,
    set_setting,
    then_migrate,
)

_LOCKS_TABLES = re.compile(r"(?:ALTER|CREATE|DROP|TRUNCATE|LOCK|CLUSTER|REFRESH|REINDEX)\b", re.IGNORECASE)


class HoldLimit:
    """Apply the session's statement_timeout to all that a transaction does from its first such lock on.

    PostgreSQL counts it for each statement, so it is lowered by what has passed before each of them; the time
    between them is limited too. transaction_timeout, since PostgreSQL 17, would end the session.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog, self.connection = catalog, catalog.connection
        self.limit = read_milliseconds(self.connection, "statement_timeout")
        self.lock_wait = LockWait(self.connection)
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
            self._apply(statement)
        finally:
            self.is_applying = False

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
