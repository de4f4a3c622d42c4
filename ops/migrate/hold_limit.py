"""The time for which a transaction may hold a lock that keeps players waiting."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from time import monotonic

from ops.db import format_milliseconds
from ops.formatting import format_duration
from ops.migrate.catalog import Catalog
from ops.migrate.lock_modes import find_locks
from ops.migrate.session_settings import MigrationBlocked, fetch_value, set_setting, then_migrate

_LOCKS_TABLES = re.compile(r"(?:ALTER|CREATE|DROP|TRUNCATE|LOCK|CLUSTER|REFRESH|REINDEX)\b", re.IGNORECASE)
_TIMEOUT_SQL = "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"


class HoldLimit:
    """Apply the session's statement_timeout to all that a transaction does from its first such lock on.

    PostgreSQL counts it for each statement, so it is lowered by what has passed before each of them; the time
    between them is limited too. transaction_timeout, since PostgreSQL 17, would end the session.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog, self.connection = catalog, catalog.connection
        milliseconds = fetch_value(self.connection, _TIMEOUT_SQL)
        self.limit = timedelta(milliseconds=milliseconds) if milliseconds else None
        self.transaction: datetime | None = None
        self.since = 0.0
        self.is_applying = False

    def apply(self, statement: str) -> None:
        """Before a statement in a transaction: set what is left. Raises MigrationBlocked if nothing is."""
        if self.limit is None or self.is_applying:
            return
        self.is_applying = True  # the queries of this are statements too
        try:
            self._apply(statement, self.limit)
        finally:
            self.is_applying = False

    def _apply(self, statement: str, limit: timedelta) -> None:
        blocks = self._blocks_players(statement)
        if self.transaction is None and not blocks:
            return
        began = fetch_value(self.connection, "SELECT now()")
        if began == self.transaction:
            left = limit - timedelta(seconds=monotonic() - self.since)
            if left < timedelta(milliseconds=1):
                raise MigrationBlocked(
                    f"The migration has locked a table for {format_duration(limit)}, and was rolled back."
                    " If players can wait longer: --statement-timeout 10min.",
                    then_migrate(),
                )
            set_setting(self.connection, "statement_timeout", format_milliseconds(left), is_local=True)
        elif blocks:
            self.transaction, self.since = began, monotonic()
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                set_setting(self.connection, name, format_milliseconds(limit), is_local=True)
        else:
            self.transaction = None

    def _blocks_players(self, statement: str) -> bool:
        if not self.catalog.live or not _LOCKS_TABLES.match(statement):
            return False
        tables = (name for name, mode in find_locks(statement).items() if mode.blocks_players)
        return any(table.is_live for table in map(self.catalog.table, tables) if table)
