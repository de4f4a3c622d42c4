"""Run migrations beside players: with lock and statement timeouts, retries, and one process at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import Any

from django.db import Error, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

from ops.command_lines import manage_command
from ops.db import format_milliseconds
from ops.exceptions import OpsError
from ops.formatting import first_line, format_duration
from ops.retries import Backoff
from ops.sql.query import fetch_all
from ops.sqlstates import QUERY_CANCELED, RETRYABLE, sqlstate

LOCK_TIMEOUT = timedelta(seconds=1)
STATEMENT_TIMEOUT = timedelta(seconds=5)
RETRY_FOR = timedelta(minutes=5)
_POLL_SECONDS = 0.5
_CONNECTION_CHECK = "client_connection_check_interval"

# Note [Timeouts of migrations]
# A statement that waits for an ACCESS EXCLUSIVE lock makes every later query of the table wait behind it. So
# it waits for LOCK_TIMEOUT, gives up, and is tried again: players wait no longer than that. While it has the
# lock they wait too, so it is cancelled after STATEMENT_TIMEOUT; a migration of several statements may hold
# the lock for longer. Some statements let players write meanwhile, and take as long as the table is large:
# what is CONCURRENTLY, and VALIDATE CONSTRAINT unless the transaction has an ACCESS EXCLUSIVE lock already. A
# concurrent build waits for older transactions, and lock_timeout would end it there and leave an INVALID
# index. A timeout that PGOPTIONS, the role or the database sets is kept, but for concurrent builds.
_COMMENTS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_CONCURRENT_BUILD = re.compile(
    rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?({_NAME})", re.IGNORECASE
)
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
# A build has this lock on its table. Every role may see it, unlike pg_stat_progress_create_index.
_INDEX_SQL = """
SELECT indisvalid, (SELECT min(pid) FROM pg_locks WHERE relation = indrelid AND granted
    AND mode = 'ShareUpdateExclusiveLock' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
FROM pg_index WHERE indexrelid = to_regclass(%s)
"""
_LOCK_KEY = "hashtext('ops'), hashtext('migrate')"
_LOCK_HOLDER_SQL = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND (classid::bigint, objid::bigint) = (hashtext('ops') & x'ffffffff'::bigint,
        hashtext('migrate') & x'ffffffff'::bigint)
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
Report = Callable[[str], object]


class MigrationBlocked(OpsError):
    """A lock was not free in time, or a statement took too long."""


@contextmanager
def migration_lock(alias: str, retry_for: timedelta, report: Report) -> Iterator[None]:
    """Hold an advisory lock for the block, so that one process at a time migrates the database.

    It is polled in autocommit: a session that waits in pg_advisory_lock has a snapshot, for which a
    concurrent index build waits, and the two would deadlock. Raises MigrationBlocked after ``retry_for``.
    """
    session, began, waited = connections[alias].copy(f"{alias}: migration lock"), monotonic(), False
    try:
        _set(session, "idle_session_timeout", "0", is_local=False)
        while not _fetch(session, f"SELECT pg_try_advisory_lock({_LOCK_KEY})"):
            holder = _fetch(session, _LOCK_HOLDER_SQL)
            if monotonic() - began > retry_for.total_seconds():
                raise MigrationBlocked(f"Process {holder} is migrating this database.", _then_migrate())
            if not waited:
                report(f"Process {holder} is migrating this database. Waiting for it.")
            waited = True
            Event().wait(_POLL_SECONDS)
        try:
            yield
        finally:
            with suppress(Error):  # a pooler that was not noticed would keep the session, and the lock
                _fetch(session, f"SELECT pg_advisory_unlock({_LOCK_KEY})")
    finally:
        session.close()


@dataclass
class MigrationSession:
    """The connection that migrates: its timeouts, and what is tried again. See Note [Timeouts of migrations].

    ``is_atomic``: whether the migration under way is one transaction, and so can be repeated from its start.
    """

    connection: BaseDatabaseWrapper
    retry_for: timedelta
    report: Report
    is_atomic: bool = True

    def migrate(self, work: Callable[[], Any]) -> None:
        """Call ``work`` within the timeouts, and again while other sessions' locks make it fail.

        Raises MigrationBlocked.
        """
        with self._explain_timeouts():
            self._retry(lambda: self._with_timeouts(work), lambda: self.is_atomic)

    def _with_timeouts(self, work: Callable[[], Any]) -> Any:
        with self.timeouts():
            return work()

    @contextmanager
    def timeouts(self) -> Iterator[None]:
        """Set the timeouts of the session for the block."""
        limits = {"lock_timeout": LOCK_TIMEOUT, "statement_timeout": STATEMENT_TIMEOUT}
        ours = {name: limit for name, limit in limits.items() if self._is_default(name)}
        for name, limit in ours.items():
            _set(self.connection, name, format_milliseconds(limit), is_local=False)
        with suppress(Error):  # where the platform has it: the backend of a client that was killed ends
            _set(self.connection, _CONNECTION_CHECK, "2s", is_local=False)
        try:
            with self.connection.execute_wrapper(self._execute):
                yield
        finally:
            with suppress(Error), self.connection.cursor() as cursor:
                for name in (*ours, _CONNECTION_CHECK):
                    cursor.execute(f"RESET {name}")  # unlike a value of 0, it is the default again

    def _is_default(self, name: str) -> bool:
        source = _fetch(self.connection, "SELECT source FROM pg_settings WHERE name = %s", name)
        return _read(self.connection, name) == "0" and source in ("default", "configuration file")

    def _execute(self, run: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        statement = str(sql)[_COMMENTS.match(str(sql)).end() :]  # type: ignore[union-attr]

        def execute() -> Any:
            with self._exempt(statement), self._built(statement):
                return run(sql, params, many, context)

        if self.connection.in_atomic_block:
            return execute()
        with self._explain_timeouts():
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
    def _explain_timeouts(self) -> Iterator[None]:
        """Raise MigrationBlocked in place of the errors that the timeouts cause."""
        try:
            yield
        except OperationalError as exc:
            if sqlstate(exc) in RETRYABLE:
                waited = f", for {format_duration(self.retry_for)}" if self.retry_for else ""
                raise MigrationBlocked(
                    f"Other sessions held a lock that the migration needs{waited}."
                    f" To see who: {manage_command('db_stats')}.",
                    self._what_to_do(),
                ) from exc
            if sqlstate(exc) == QUERY_CANCELED:
                raise MigrationBlocked(
                    f"A statement of the migration was cancelled: {first_line(exc)}."
                    f" One that locks a table may take {format_duration(STATEMENT_TIMEOUT)}."
                    " To change many rows, use an operation; to build an index, AddIndexConcurrently."
                    ' If players can wait longer, set PGOPTIONS: "-c statement_timeout=10min".',
                    self._what_to_do(),
                ) from exc
            raise

    def _what_to_do(self) -> str:
        if self.is_atomic:
            return _then_migrate()
        return (
            "The migration is not atomic: what it has done before stays. Undo it by hand, then:"
            f" {manage_command('migrate')}"
        )

    @contextmanager
    def _exempt(self, statement: str) -> Iterator[None]:
        """Disable the timeouts that the statement is exempt from, and set them again."""
        is_local = self.connection.in_atomic_block
        before = {name: _read(self.connection, name) for name in self._exempt_settings(statement)}
        for name in before:
            _set(self.connection, name, "0", is_local=is_local)
        try:
            yield
        finally:
            with suppress(Error):  # of a transaction that is aborted, which forgets them anyway
                for name, value in before.items():
                    _set(self.connection, name, value, is_local=is_local)

    def _exempt_settings(self, statement: str) -> tuple[str, ...]:
        if _CONCURRENTLY.match(statement):
            return ("lock_timeout", "statement_timeout")
        if _REFRESH.match(statement):
            return ("statement_timeout",)
        if _VALIDATE.fullmatch(statement) and not _fetch(self.connection, _HAS_EXCLUSIVE_LOCK_SQL):
            return ("statement_timeout",)
        return ()

    @contextmanager
    def _built(self, statement: str) -> Iterator[None]:
        """Around a concurrent build: drop what an earlier one left, and check that this one is valid.

        Raises MigrationBlocked where it is not, as IF NOT EXISTS takes any index of that name.
        """
        build = _CONCURRENT_BUILD.match(statement)
        if not build:
            yield
            return
        name, waited = build[1], False
        while True:
            is_valid, builder = self._index(name)
            if is_valid is not False:
                break
            if builder is None:
                self.report(f"Dropping the index {name}: an earlier build failed and left it invalid.")
                with self.connection.cursor() as cursor:
                    cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
                break
            if not waited:
                self.report(
                    f"The index {name} is invalid, and process {builder} builds it or vacuums its table."
                    " Waiting for it."
                )
            waited = True
            Event().wait(_POLL_SECONDS)
        yield
        if self._index(name)[0] is False:
            raise MigrationBlocked(f"The index {name} is invalid, since its build failed.", _then_migrate())

    def _index(self, name: str) -> tuple[bool | None, int | None]:
        """Return whether the index is valid, None if there is none, and the process that builds it."""
        [(is_valid, builder)] = fetch_all(_INDEX_SQL, name, using=self.connection) or [(None, None)]
        return is_valid, builder


def _then_migrate() -> str:
    return f"Then: {manage_command('migrate')}"


def _read(connection: BaseDatabaseWrapper, name: str) -> str:
    return str(_fetch(connection, "SELECT current_setting(%s)", name))


def _set(connection: BaseDatabaseWrapper, name: str, value: str, is_local: bool) -> None:
    _fetch(connection, "SELECT set_config(%s, %s, %s)", name, value, is_local)


def _fetch(connection: BaseDatabaseWrapper, query: str, *params: Any) -> Any:
    """Return the one value of the first row; None if there is no row."""
    rows = fetch_all(query, *params, using=connection)
    return rows[0][0] if rows else None
