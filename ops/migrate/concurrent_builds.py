"""Concurrent index builds: what an earlier one left is dropped, and a new one must be valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.migrate.session_settings import POLL_SECONDS, MigrationBlocked, Report, then_migrate
from ops.sql.query import fetch_all

_NAME = r'(?:(?:"(?:[^"]|"")+"|\w+)\.)?(?:"(?:[^"]|"")+"|\w+)'
_BUILD = re.compile(
    rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?({_NAME})\s+ON\b", re.IGNORECASE
)
_DROP = re.compile(rf"DROP\s+INDEX\s+CONCURRENTLY\s+(?:IF\s+EXISTS\s+)?({_NAME})\s*;?\s*\Z", re.IGNORECASE)
# A build has this lock on its table. Every role may see it, unlike pg_stat_progress_create_index.
_INDEX_SQL = """
SELECT indisvalid, (SELECT min(pid) FROM pg_locks WHERE relation = indrelid AND granted
    AND mode = 'ShareUpdateExclusiveLock' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
FROM pg_index WHERE indexrelid = to_regclass(%s)
"""


def is_done(connection: BaseDatabaseWrapper, statement: str) -> bool:
    """Whether the index that the statement builds concurrently is valid, or that it drops is gone."""
    if build := _BUILD.match(statement):
        return _read_index(connection, build[1])[0] is True
    drop = _DROP.match(statement)
    return bool(drop) and _read_index(connection, drop[1])[0] is None  # type: ignore[index]


@contextmanager
def repaired_build(connection: BaseDatabaseWrapper, statement: str, report: Report) -> Iterator[None]:
    """Around a concurrent build: drop what an earlier one left, and check that this one is valid.

    Raises MigrationBlocked where it is not, as IF NOT EXISTS takes any index of that name.
    """
    build = _BUILD.match(statement)
    if not build:
        yield
        return
    name, waited = build[1], False
    while True:
        is_valid, builder = _read_index(connection, name)
        if is_valid is not False:
            break
        if builder is None:
            report(f"Dropping the index {name}: an earlier build failed and left it invalid.")
            _drop(connection, name)
            break
        if not waited:
            report(
                f"The index {name} is invalid, and process {builder} builds it or vacuums its table."
                " Waiting for it."
            )
        waited = True
        Event().wait(POLL_SECONDS)
    try:
        yield
    except IntegrityError:  # an index that is invalid may refuse new rows all the same
        _drop(connection, name)
        raise
    if _read_index(connection, name)[0] is False:
        raise MigrationBlocked(f"The index {name} is invalid, since its build failed.", then_migrate())


def _drop(connection: BaseDatabaseWrapper, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def _read_index(connection: BaseDatabaseWrapper, name: str) -> tuple[bool | None, int | None]:
    """Return whether the index is valid, None if there is none, and the process that builds it."""
    [(is_valid, builder)] = fetch_all(_INDEX_SQL, name, using=connection) or [(None, None)]
    return is_valid, builder
