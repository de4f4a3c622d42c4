"""One process at a time migrates a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from time import monotonic

from ops.migrate.session_settings import POLL_SECONDS, MigrationBlocked, Report, then_migrate
from ops.sql.session_lock import session_lock


@contextmanager
def migration_lock(alias: str, retry_for: timedelta, report: Report) -> Iterator[None]:
    """Hold an advisory lock for the block, so that one process at a time migrates the database.

    Raises MigrationBlocked after ``retry_for``.
    """
    began, waited = monotonic(), False
    with session_lock(alias, "ops", "migrate") as lock:
        while not lock.acquire():
            holder, *_ = lock.find_holder() or (None,)
            if monotonic() - began > retry_for.total_seconds():
                raise MigrationBlocked(f"Process {holder} is migrating this database.", then_migrate())
            if not waited:
                report(f"Process {holder} is migrating this database. Waiting for it.")
            waited = True
            Event().wait(POLL_SECONDS)
        yield
