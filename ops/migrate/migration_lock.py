"""One process at a time migrates a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event
from time import monotonic

from django.db import Error, connections

from ops.migrate.session_settings import (
    POLL_SECONDS,
    MigrationBlocked,
    Report,
    fetch_value,
    set_setting,
    then_migrate,
)

_LOCK_KEY = "hashtext('ops'), hashtext('migrate')"
_LOCK_HOLDER_SQL = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND (classid::bigint, objid::bigint) = (hashtext('ops') & x'ffffffff'::bigint,
        hashtext('migrate') & x'ffffffff'::bigint)
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextmanager
def migration_lock(alias: str, retry_for: timedelta, report: Report) -> Iterator[None]:
    """Hold an advisory lock for the block, so that one process at a time migrates the database.

    It is polled in autocommit: a session that waits in pg_advisory_lock has a snapshot, for which a
    concurrent index build waits, and the two would deadlock. Raises MigrationBlocked after ``retry_for``.
    """
    session, began, waited = connections[alias].copy(f"{alias}: migration lock"), monotonic(), False
    try:
        set_setting(session, "idle_session_timeout", "0", is_local=False)
        while not fetch_value(session, f"SELECT pg_try_advisory_lock({_LOCK_KEY})"):
            holder = fetch_value(session, _LOCK_HOLDER_SQL)
            if monotonic() - began > retry_for.total_seconds():
                raise MigrationBlocked(f"Process {holder} is migrating this database.", then_migrate())
            if not waited:
                report(f"Process {holder} is migrating this database. Waiting for it.")
            waited = True
            Event().wait(POLL_SECONDS)
        try:
            yield
        finally:
            with suppress(Error):  # a pooler that was not noticed would keep the session, and the lock
                fetch_value(session, f"SELECT pg_advisory_unlock({_LOCK_KEY})")
    finally:
        session.close()
