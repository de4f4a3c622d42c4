"""A migration queues for a lock that players need only once it is nearly free."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from ops.migrate.session_settings import MigrationBlocked
from ops.migrate.timeouts import MigrationSession
from tests.ops.running import create_things, execute_sql, player, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

QUEUED = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'trials_thing'::regclass"
HOLD = "LOCK TABLE trials_thing IN ACCESS SHARE MODE"


@pytest.fixture
def session() -> Iterator[MigrationSession]:
    """A session whose reports are in the list ``session.report.__self__``."""
    session = MigrationSession(connection, timedelta(minutes=1), list[str]().append)
    with session.timeouts():
        yield session


def alter(action: str) -> Callable[[], None]:
    def work() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE trials_thing {action}")

    return work


@contextmanager
def dropping_later(session: MigrationSession) -> Iterator[None]:
    """Drop the column after the block, which adds it."""
    yield
    assert execute_sql("SELECT later FROM trials_thing WHERE false") == []
    session.repeat(alter("DROP COLUMN later"))


def read(other: "psycopg.Connection[Any]") -> None:
    """Read as a player who waits for nothing."""
    other.execute("SET LOCAL lock_timeout = '1ms'; SELECT count(*) FROM trials_thing")
    other.rollback()


def test_no_player_waits_while_an_old_transaction_has_the_lock(session: MigrationSession) -> None:
    ended = Event()

    def play() -> None:
        with player() as holder, player() as other:
            holder.execute(HOLD)
            started.set()
            while not session.report.__self__:  # type: ignore[attr-defined]
                read(other)
            for _ in range(50):  # during further tries
                read(other)
            ended.set()

    started, thread = Event(), Thread(target=play, daemon=True)
    thread.start()
    started.wait()
    with dropping_later(session):
        session.repeat(alter("ADD COLUMN later integer"))
        assert ended.is_set()
    thread.join()


def test_a_lock_that_is_never_free_for_long_is_queued_for(session: MigrationSession) -> None:
    """There is always a transaction that has the lock for longer than the first try queues."""
    stop = Event()

    def play(late: bool) -> None:
        with player() as other:
            Event().wait(0.2 if late else 0)
            while not stop.is_set():
                other.execute(HOLD)
                started.set()
                Event().wait(0.4)
                other.rollback()

    started, threads = Event(), [Thread(target=play, args=[late], daemon=True) for late in (False, True)]
    for thread in threads:
        thread.start()
    started.wait()
    with dropping_later(session):
        session.repeat(alter("ADD COLUMN later integer"))
        stop.set()
    for thread in threads:
        thread.join()


def test_it_gives_up_without_having_queued() -> None:
    session = MigrationSession(connection, timedelta(), print, lock_timeout=timedelta(milliseconds=100))
    with player() as holder, session.timeouts():
        holder.execute(HOLD)
        with pytest.raises(MigrationBlocked, match="Other sessions held a lock"):
            session.repeat(alter("ADD COLUMN later integer"))


@pytest.fixture
def autovacuum() -> Iterator[None]:
    """An autovacuum of the table, which takes for ever."""
    create_things(2000)
    slowly = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
    options = f"autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, {slowly}"
    execute_sql(f"ALTER TABLE trials_thing SET ({options})")
    execute_sql("UPDATE trials_thing SET score = 2")
    execute_sql("ALTER SYSTEM SET autovacuum_naptime = 1")
    execute_sql("SELECT pg_reload_conf()")
    yield
    execute_sql("ALTER SYSTEM RESET autovacuum_naptime")
    execute_sql("SELECT pg_reload_conf()")
    names = ", ".join(option.split(" ")[0] for option in options.split(", "))
    execute_sql(f"ALTER TABLE trials_thing RESET ({names})")


@pytest.mark.usefixtures("autovacuum")
def test_an_autovacuum_ends_and_no_player_waits_meanwhile(session: MigrationSession) -> None:
    vacuums = "SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'trials_thing'::regclass"
    wait_until(lambda: execute_sql(vacuums))
    done = Event()

    def play() -> None:
        with player() as other:
            while not other.execute(QUEUED).fetchall():  # for the lock that lets players write
                other.rollback()
            read(other)
            done.set()

    thread = Thread(target=play, daemon=True)
    thread.start()
    with dropping_later(session):
        session.repeat(alter("ADD COLUMN later integer"))
    thread.join()
    assert done.is_set()
    assert session.report.__self__ == []  # type: ignore[attr-defined]
