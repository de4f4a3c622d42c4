"""Advisory locks that a session of its own holds, for work of many transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.sql.query import fetch_all

_KEY = "hashtext(%s), hashtext(%s)"
_HOLDER_SQL = """
SELECT pid, application_name FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND (classid::bigint, objid::bigint) = (hashtext(%s) & x'ffffffff'::bigint,
        hashtext(%s) & x'ffffffff'::bigint)
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass
class SessionLock:
    """A lock of two words, of this database; ``session`` holds it."""

    session: BaseDatabaseWrapper
    key: tuple[str, str]
    is_held: bool = False

    def acquire(self) -> bool:
        """Try to take it, and return whether it was free.

        A caller who waits has to try again: a session that waits in pg_advisory_lock has a snapshot, for
        which a concurrent index build waits, and the two would deadlock.
        """
        [(free,)] = fetch_all(f"SELECT pg_try_advisory_lock({_KEY})", *self.key, using=self.session)
        self.is_held = self.is_held or free
        return bool(free)

    def release(self) -> None:
        """Release it, if it is held: a pooler that was not noticed would keep the session, and the lock."""
        if self.is_held:
            fetch_all(f"SELECT pg_advisory_unlock({_KEY})", *self.key, using=self.session)

    def find_holder(self) -> tuple[int, str | None] | None:
        """Return the process id and application_name of who has it; None if it has become free."""
        rows = fetch_all(_HOLDER_SQL, *self.key, using=self.session)
        return (rows[0][0], rows[0][1]) if rows else None


@contextmanager
def session_lock(alias: str, *key: str, application_name: str | None = None) -> Iterator[SessionLock]:
    """Open a session for the lock of the key, two words; release it after the block, if it was taken."""
    scope, name = key
    session = connections[alias].copy(f"{alias}: lock of {name}")
    settings = {"idle_session_timeout": "0", "application_name": application_name}
    try:
        for setting, value in settings.items():
            if value is not None:
                fetch_all("SELECT set_config(%s, %s, false)", setting, value, using=session)
        lock = SessionLock(session, (scope, name))
        try:
            yield lock
        finally:
            with suppress(Error):
                lock.release()
    finally:
        with suppress(Error):
            session.close()
