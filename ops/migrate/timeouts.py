"""The session that runs migrations beside players: with lock and statement timeouts, and retries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from threading import Event
from typing import Any

from django.db import Error, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

from ops.command_lines import manage_command
from ops.db import format_milliseconds
from ops.formatting import first_line, format_duration
from ops.migrate.catalog import Catalog
from ops.migrate.concurrent_builds import repaired_build
from ops.migrate.hold_limit import HoldLimit
from ops.migrate.session_settings import (
    Limits,
    MigrationBlocked,
    Report,
    fetch_value,
    read_milliseconds,
    read_setting,
    set_setting,
    then_migrate,
)
from ops.retries import Backoff
from ops.sqlstates import QUERY_CANCELED, RETRYABLE, sqlstate

LOCK_TIMEOUT = timedelta(seconds=1)
STATEMENT_TIMEOUT = timedelta(seconds=5)
RETRY_FOR = timedelta(minutes=5)
_CONNECTION_CHECK = "client_connection_check_interval"

# Note [Timeouts of migrations]
# A statement that waits for an ACCESS EXCLUSIVE lock makes every later query of the table wait behind it.
# So it waits for LOCK_TIMEOUT at most, gives up, and is tried again; the first of a transaction waits for
# less while that is enough: see Note [Queueing for a lock]. While a transaction has such a lock they wait
# too, so it is cancelled after STATEMENT_TIMEOUT, counted from its first one: see `hold_limit`. Some
# statements let players write meanwhile, and take as long as the table is large: what is CONCURRENTLY, and
# VALIDATE CONSTRAINT unless the transaction has an ACCESS EXCLUSIVE lock already. A concurrent build waits
# for older transactions, and lock_timeout would end it there and leave an INVALID index. A timeout that
# PGOPTIONS, the role or the database sets is kept, but for concurrent builds; one that is given as an
# option is not.
_COMMENTS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_CONCURRENTLY = re.compile(
    r"(CREATE\s+(UNIQUE\s+)?INDEX|DROP\s+INDEX|REINDEX\b[^;]*?)\s+CONCURRENTLY\b"
    r"|ALTER\s+TABLE\b[^;]*\sDETACH\s+PARTITION\b[^;]*\sCONCURRENTLY\b",
    re.IGNORECASE,
)
_REFRESH = re.compile(r"REFRESH\s+MATERIALIZED\s+VIEW\s+CONCURRENTLY\b", re.IGNORECASE)
_VALIDATE = re.compile(
    rf"ALTER\s+TABLE\s+(IF\s+EXISTS\s+)?(ONLY\s+)?({_NAME}\.)?{_NAME}\s+VALIDATE\s+CONSTRAINT\s+{_NAME}\s*;?\s*",
    re.IGNORECASE,
)
_HAS_EXCLUSIVE_LOCK_SQL = """
SELECT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock' AND granted)
"""


@dataclass
class MigrationSession:
    """The connection that migrates: its timeouts, and what is tried again. See Note [Timeouts of migrations].

    A timeout of None is the default, which the settings of the session override.
    """

    connection: BaseDatabaseWrapper
    retry_for: timedelta
    report: Report
    lock_timeout: timedelta | None = None
    statement_timeout: timedelta | None = None
    has_session: bool = True

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue, whose live tables are those from before the session."""
        return Catalog(self.connection)

    def migrate(self, work: Callable[[], Any]) -> None:
        """Call ``work`` within the timeouts, and again while other sessions' locks make it fail.

        Raises MigrationBlocked.
        """
        with self.timeouts():
            self.repeat(work)

    def repeat(self, work: Callable[[], Any]) -> Any:
        """Call ``work``, which does all or nothing, and again while other sessions' locks make it fail."""
        with self.explained():
            return self._retry(work, lambda: True)

    @contextmanager
    def timeouts(self) -> Iterator[None]:
        """Set the timeouts for the block: those of the session, or behind a pooler of each transaction."""
        ours = self._timeouts_to_set()
        self._hold_limit = HoldLimit(self.catalog, self.limits(), ours if not self.has_session else {})
        with self._session_settings(ours), self.connection.execute_wrapper(self._execute):
            yield

    @contextmanager
    def _session_settings(self, ours: Mapping[str, timedelta]) -> Iterator[None]:
        """Set the timeouts of the session; none behind a pooler, whose sessions others use."""
        if not self.has_session:
            yield
            return
        for name, limit in ours.items():
            set_setting(self.connection, name, format_milliseconds(limit), is_local=False)
        with suppress(Error):  # where the platform has it: the backend of a client that was killed ends
            set_setting(self.connection, _CONNECTION_CHECK, "2s", is_local=False)
        try:
            yield
        finally:
            with suppress(Error), self.connection.cursor() as cursor:
                for name in (*ours, _CONNECTION_CHECK):
                    cursor.execute(f"RESET {name}")  # unlike a value of 0, it is the default again

    def limits(self) -> Limits:
        """Return the timeouts that a transaction has, or will have within `timeouts`."""
        ours, names = self._timeouts_to_set(), ("lock_timeout", "statement_timeout")
        found = {name: read_milliseconds(self.connection, name) for name in names}
        return Limits(*((ours.get(name, found[name])) or None for name in names))

    def _timeouts_to_set(self) -> dict[str, timedelta]:
        given = {"lock_timeout": self.lock_timeout, "statement_timeout": self.statement_timeout}
        defaults = {"lock_timeout": LOCK_TIMEOUT, "statement_timeout": STATEMENT_TIMEOUT}
        chosen = {name: given[name] if given[name] is not None else defaults[name] for name in defaults}
        return {
            name: limit
            for name, limit in chosen.items()
            if limit is not None and (given[name] is not None or self._is_default(name))
        }

    def _is_default(self, name: str) -> bool:
        source = fetch_value(self.connection, "SELECT source FROM pg_settings WHERE name = %s", name)
        return read_setting(self.connection, name) == "0" and source in ("default", "configuration file")

    def _execute(self, run: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        statement = str(sql)[_COMMENTS.match(str(sql)).end() :]  # type: ignore[union-attr]

        def execute() -> Any:
            with self._exempt(statement), repaired_build(self.connection, statement, self.report):
                return run(sql, params, many, context)

        if self.connection.in_atomic_block:
            self._hold_limit.apply(statement)
            return execute()
        with self.explained():
            return self._retry(execute, lambda: not self._is_in_explicit_transaction())

    def _is_in_explicit_transaction(self) -> bool:
        status = self.connection.connection.info.transaction_status
        return bool(status != TransactionStatus.IDLE)

    def _retry(self, work: Callable[[], Any], may_retry: Callable[[], bool]) -> Any:
        """Call ``work`` again, with backoff and jitter, for ``retry_for`` while a lock makes it fail."""
        backoff = Backoff(Event(), self.retry_for, self.connection)
        while True:
            try:
                return work()
            except OperationalError as exc:
                if sqlstate(exc) not in RETRYABLE or not may_retry() or not self.retry_for:
                    raise
                if backoff.failing_since is None:
                    self.report(
                        "Another session holds a lock that the migration needs."
                        f" Trying again for up to {format_duration(self.retry_for)}."
                        f" To see who holds it: {manage_command('db_stats')}"
                    )
                backoff.wait(exc)

    @contextmanager
    def explained(self, can_go_on: bool = True) -> Iterator[None]:
        """Raise MigrationBlocked in place of the errors that the timeouts cause.

        ``can_go_on``: whether the next `migrate` repeats nothing that was done.
        """
        try:
            yield
        except OperationalError as exc:
            todo = then_migrate() if can_go_on else _NOT_ATOMIC.format(then_migrate().lower())
            if sqlstate(exc) in RETRYABLE:
                waited = f", for {format_duration(self.retry_for)}" if self.retry_for else ""
                raise MigrationBlocked(
                    f"Other sessions held a lock that the migration needs{waited}."
                    f" To see who: {manage_command('db_stats')}.",
                    todo,
                ) from exc
            if sqlstate(exc) == QUERY_CANCELED:
                raise MigrationBlocked(
                    f"A statement of the migration was cancelled: {first_line(exc)}."
                    f" A migration may lock a table for {format_duration(self._longest_hold)}."
                    " To change many rows, use an operation."
                    " If players can wait longer: --statement-timeout 10min.",
                    todo,
                ) from exc
            raise

    @property
    def _longest_hold(self) -> timedelta:
        return STATEMENT_TIMEOUT if self.statement_timeout is None else self.statement_timeout

    @contextmanager
    def _exempt(self, statement: str) -> Iterator[None]:
        """Disable the timeouts that the statement is exempt from, and set them again."""
        is_local = self.connection.in_atomic_block
        if not (is_local or self.has_session):
            yield
            return
        before = {name: read_setting(self.connection, name) for name in self._exempt_settings(statement)}
        for name in before:
            set_setting(self.connection, name, "0", is_local=is_local)
        try:
            yield
        finally:
            with suppress(Error):  # of a transaction that is aborted, which forgets them anyway
                for name, value in before.items():
                    set_setting(self.connection, name, value, is_local=is_local)

    def _exempt_settings(self, statement: str) -> tuple[str, ...]:
        version: int = self.connection.pg_version  # type: ignore[attr-defined]
        lengths = ("statement_timeout", "transaction_timeout")[: 1 + (version >= 170000)]
        if _CONCURRENTLY.match(statement):
            return ("lock_timeout", *lengths)
        if _REFRESH.match(statement):
            return lengths
        if _VALIDATE.fullmatch(statement) and not fetch_value(self.connection, _HAS_EXCLUSIVE_LOCK_SQL):
            return lengths
        return ()


_NOT_ATOMIC = (
    "The migration is not atomic, and a part of an operation may be done. Look at it, undo that part, {}"
)
