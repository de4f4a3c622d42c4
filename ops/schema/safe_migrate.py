"""Run migrations beside players: with lock and statement timeouts, retries, and one process at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event
from typing import Any

from django.db import Error, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import first_line, format_duration
from ops.retries import Backoff
from ops.sqlstates import RETRYABLE, sqlstate

LOCK_TIMEOUT = timedelta(seconds=1)
STATEMENT_TIMEOUT = timedelta(seconds=5)
RETRY_FOR = timedelta(minutes=5)
_POLL_SECONDS = 0.5
_QUERY_CANCELED = "57014"

# Note [Timeouts of migrations]
# A statement that waits for an ACCESS EXCLUSIVE lock makes every later query of the table wait behind it. So
# it waits for LOCK_TIMEOUT, gives up, and is tried again: players wait no longer than that. While it has the
# lock they wait too, so it is cancelled after STATEMENT_TIMEOUT. Two kinds of statement let players write
# meanwhile, and take as long as the table is large: VALIDATE CONSTRAINT, and whatever is CONCURRENTLY. The
# latter waits for older transactions, and lock_timeout would end it there and leave an INVALID index. A
# timeout that is set already, by PGOPTIONS or for the role, is kept.
_CONCURRENTLY = re.compile(
    r"\s*(CREATE\s+(UNIQUE\s+)?INDEX|DROP\s+INDEX|REINDEX\b[^;]*?)\s+CONCURRENTLY\b", re.IGNORECASE
)
_VALIDATE = re.compile(r"\s*ALTER\s+TABLE\b[^;]*\sVALIDATE\s+CONSTRAINT\b", re.IGNORECASE)
_BUILT_INDEX = re.compile(
    r'\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?("(?:[^"]|"")+"|\w+)',
    re.IGNORECASE,
)
# One that a process is building at this moment is invalid, too.
_IS_LEFTOVER_SQL = """
SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid
    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS build WHERE build.index_relid = indexrelid))
"""
Report = Callable[[str], object]


class MigrationBlocked(OpsError):
    """A lock was not free in time, or a statement took too long; the migration under way changed nothing."""


@contextmanager
def migration_lock(alias: str, report: Report) -> Iterator[None]:
    """Hold an advisory lock for the block, so that one process at a time migrates the database.

    It is polled in autocommit: a session that waits in pg_advisory_lock has a snapshot, for which a
    concurrent index build waits, and the two would deadlock.
    """
    session, waited = connections[alias].copy(f"{alias}: migration lock"), False
    try:
        while not _try_lock(session):
            if not waited:
                report("Another process is migrating this database. Waiting for it.")
            waited = True
            Event().wait(_POLL_SECONDS)
        yield
    finally:
        session.close()


def _try_lock(session: BaseDatabaseWrapper) -> bool:
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended('ops migrate', 0))")
        return bool(cursor.fetchone()[0])


@contextmanager
def migration_timeouts(
    connection: BaseDatabaseWrapper, retry_for: timedelta, report: Report
) -> Iterator[None]:
    """Set the timeouts of the session for the block: see Note [Timeouts of migrations].

    A statement outside a transaction is retried by itself while others hold its locks, since those before it
    are committed.
    """
    settings = {"lock_timeout": LOCK_TIMEOUT, "statement_timeout": STATEMENT_TIMEOUT}
    before = {name: _read_setting(connection, name) for name in settings}
    for name, limit in settings.items():
        if before[name] == "0":
            _set(connection, name, f"{limit // timedelta(milliseconds=1)}ms", is_local=False)

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        with _timeouts_off(connection, _exempt_settings(str(sql))):
            _drop_leftover(connection, str(sql), report)
            if connection.in_atomic_block:
                return run(sql, params, many, context)
            with explain_timeouts(retry_for):  # the whole command is not to be repeated from here
                return retry_on_lock(lambda: run(sql, params, many, context), retry_for, report)

    try:
        with connection.execute_wrapper(execute):
            yield
    finally:
        with suppress(Error):
            for name, value in before.items():
                _set(connection, name, value, is_local=False)


def retry_on_lock(work: Callable[[], Any], retry_for: timedelta, report: Report) -> Any:
    """Call ``work`` again, with backoff and jitter, while another session's lock makes it fail.

    Raises the last error once ``retry_for`` has passed.
    """
    backoff = Backoff(Event(), retry_for)
    while True:
        try:
            return work()
        except OperationalError as exc:
            if sqlstate(exc) not in RETRYABLE or not retry_for:
                raise
            if backoff.failing_since is None:
                report(
                    f"Another session holds a lock that the migration needs. Trying again for up to"
                    f" {format_duration(retry_for)}. To see who holds it: {manage_command('db_stats')}"
                )
            backoff.wait(exc)


@contextmanager
def explain_timeouts(retry_for: timedelta) -> Iterator[None]:
    """Raise MigrationBlocked in place of the errors that the timeouts cause."""
    try:
        yield
    except OperationalError as exc:
        if sqlstate(exc) in RETRYABLE:
            waited = f", for {format_duration(retry_for)}" if retry_for else ""
            raise MigrationBlocked(
                f"Other sessions held a lock that the migration needs{waited}."
                f" To see who: {manage_command('db_stats')}.",
                f"Then: {manage_command('migrate')}",
            ) from exc
        if sqlstate(exc) == _QUERY_CANCELED:
            raise MigrationBlocked(
                f"A statement of the migration was stopped after its time limit: {first_line(exc)}."
                " To change many rows, use an operation; to build an index, AddIndexConcurrently.",
                "If players can wait longer:"
                f' PGOPTIONS="-c statement_timeout=10min" {manage_command("migrate")}',
            ) from exc
        raise


def _exempt_settings(sql: str) -> tuple[str, ...]:
    if _CONCURRENTLY.match(sql):
        return ("lock_timeout", "statement_timeout")
    return ("statement_timeout",) if _VALIDATE.match(sql) else ()


@contextmanager
def _timeouts_off(connection: BaseDatabaseWrapper, names: tuple[str, ...]) -> Iterator[None]:
    is_local = connection.in_atomic_block
    before = {name: _read_setting(connection, name) for name in names}
    for name in names:
        _set(connection, name, "0", is_local=is_local)
    try:
        yield
    finally:
        with suppress(Error):  # of a transaction that is aborted, which forgets them anyway
            for name, value in before.items():
                _set(connection, name, value, is_local=is_local)


def _drop_leftover(connection: BaseDatabaseWrapper, sql: str, report: Report) -> None:
    """Drop an INVALID index of that name, which a build that failed or was killed has left."""
    built = _BUILT_INDEX.match(sql)
    if not built:
        return
    with connection.cursor() as cursor:
        cursor.execute(_IS_LEFTOVER_SQL, [built[1]])
        if cursor.fetchone()[0]:
            report(f"Dropping the index {built[1]}: an earlier build failed and left it invalid.")
            cursor.execute(f"DROP INDEX CONCURRENTLY {built[1]}")


def _read_setting(connection: BaseDatabaseWrapper, name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        return str(cursor.fetchone()[0])


def _set(connection: BaseDatabaseWrapper, name: str, value: str, is_local: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, %s)", [name, value, is_local])
