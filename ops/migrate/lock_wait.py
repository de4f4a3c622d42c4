"""Wait until a table's lock is nearly free before queueing for it: see Note [Queueing for a lock]."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from threading import Event
from time import monotonic

from django.db.backends.base.base import BaseDatabaseWrapper

from ops.db import format_milliseconds
from ops.migrate.catalog import Table
from ops.migrate.lock_modes import LockMode
from ops.migrate.session_settings import fetch_value, read_milliseconds, set_setting
from ops.sql.query import fetch_all

# Note [Queueing for a lock]
# Players queue behind a statement that queues for a lock, for as long as any transaction before it lasts. So
# it does not queue while a transaction that has the lock is a long one: `pg_locks` is read until none of its
# holders was one a moment ago. Then the statement queues for a moment only, and what fails is
# tried again; for twice as long each time, up to lock_timeout, since there may always be some transaction.
# An autovacuum ends when somebody has waited behind it for deadlock_timeout. That wait is for a SHARE UPDATE
# EXCLUSIVE lock, which lets players write, and keeps the next autovacuum away until the transaction ends.
_MOMENT = timedelta(milliseconds=100)
# Seconds before the second look, and at most before any.
_INITIAL_DELAY, _MAX_DELAY = 0.005, 0.05

_HOLDERS_SQL = """
WITH RECURSIVE tables (oid) AS (
    SELECT %s::oid UNION SELECT inhrelid FROM pg_inherits JOIN tables ON inhparent = tables.oid
)
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation IN (SELECT oid FROM tables)
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND granted AND mode = ANY (%s) AND pid IS DISTINCT FROM pg_backend_pid()
"""
# Materialized views cannot be named in LOCK TABLE.
_NAME_SQL = "SELECT oid::regclass::text FROM pg_class WHERE oid = %s AND relkind <> 'm'"


class LockWait:
    """Prepare a transaction of the session for its first lock that makes players wait."""

    def __init__(self, connection: BaseDatabaseWrapper, limit: timedelta | None) -> None:
        self.connection, self.limit = connection, limit
        self.statement = ""
        self.tries = 0

    def wait(self, statement: str, locks: Mapping[Table, LockMode]) -> None:
        """Before the statement that takes these locks: set for how long it may queue for them.

        Raises an OperationalError, as a statement that has waited for ``lock_timeout`` does.
        """
        if self.limit is None:
            return
        self.tries = self.tries + 1 if statement == self.statement else 0
        self.statement = statement
        moment = min(self.limit, _MOMENT * 2 ** min(self.tries, 16))
        names = {
            name: mode
            for table, mode in locks.items()
            if (name := fetch_value(self.connection, _NAME_SQL, table.oid))
        }
        self._keep_autovacuum_away(list(names))
        self._set_lock_timeout(self.limit)
        if not self._become_free(locks, moment, self.limit):
            for name, mode in names.items():
                self._execute(f"LOCK TABLE {name} IN {mode} MODE NOWAIT")
        self._set_lock_timeout(moment)

    def _keep_autovacuum_away(self, names: list[str]) -> None:
        deadlock_timeout = read_milliseconds(self.connection, "deadlock_timeout") or timedelta()
        self._set_lock_timeout(deadlock_timeout + timedelta(seconds=1))
        for name in names:
            self._execute(f"LOCK TABLE {name} IN {LockMode.SHARE_UPDATE_EXCLUSIVE} MODE")

    def _become_free(self, locks: Mapping[Table, LockMode], moment: timedelta, limit: timedelta) -> bool:
        """Wait, for ``limit`` at most, until each holder has held for less than the moment."""
        started, longest = monotonic(), moment.total_seconds()
        began = dict.fromkeys(self._holders(locks), started - longest)  # nobody knows since when
        delay = _INITIAL_DELAY
        while any(monotonic() - since >= longest for since in began.values()):
            if monotonic() - started >= limit.total_seconds():
                return False
            Event().wait(delay)
            delay = min(_MAX_DELAY, delay * 2)
            began = {holder: began.get(holder, monotonic()) for holder in self._holders(locks)}
        return True

    def _holders(self, locks: Mapping[Table, LockMode]) -> set[str]:
        """Return the transactions that the locks conflict with; an autovacuum is one too."""
        return {
            holder
            for table, mode in locks.items()
            for (holder,) in fetch_all(
                _HOLDERS_SQL,
                table.oid,
                [other.pg_name for other in mode.conflicts],
                using=self.connection,
            )
        }

    def _set_lock_timeout(self, limit: timedelta) -> None:
        set_setting(self.connection, "lock_timeout", format_milliseconds(limit), is_local=True)

    def _execute(self, statement: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
