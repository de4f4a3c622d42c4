"""The restored database takes the place of the live one, in one transaction, with nobody inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import psycopg
from psycopg import sql

from ops import registry
from ops.advice import to_halt
from ops.backups.errors import Failed, InUse
from ops.backups.likeness import make_like
from ops.backups.properties import Properties, properties_of
from ops.backups.scratch import base, databases, stamp
from ops.backups.server import Connection, Server
from ops.states import MOVING, State

_LOOK_AGAIN = 0.02
_ACTIVE_RUNS = "SELECT id, operation, state FROM ops_run WHERE state = ANY(%s) ORDER BY id"
_OWNER = """
SELECT pg_has_role(datdba, 'USAGE'), quote_ident(pg_get_userbyid(datdba)), quote_ident(current_user)
FROM pg_database WHERE datname = %s
"""
_THERE = "SELECT to_regclass('ops_run') IS NOT NULL"
# Note [How nobody is inside]
# A database can be renamed only while no session is in it. RENAME first locks it, so that whoever connects
# waits (and is then told that it was renamed), and then waits up to five seconds for the sessions that there
# are to leave. In that time another connection ends them, and as the last the one that holds the runs still.
# So no run begins between the last look at the runs and the swap, and a kill at any instant leaves the old
# names, or the new.
_INSIDE = """
SELECT pid FROM pg_stat_activity WHERE datname = %s AND EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND objid = datid
        AND mode = 'AccessExclusiveLock' AND granted)
ORDER BY pid = %s
"""


def exists(server: Server) -> bool:
    """Whether there is a live database. Raises Failed where it is not for our role to replace."""
    with server.maintenance() as connection:
        found = connection.execute(_OWNER, [server.database]).fetchone()
    if found and not found[0]:
        _, owner, ours = found
        raise Failed(
            f"The database {server.database} is owned by {owner}, so that {ours} may not replace it."
            f" As a superuser: GRANT {owner} TO {ours}"
        )
    return found is not None


def refuse_active_runs(server: Server) -> None:
    """Raises InUse while a run of the live database is, or may soon be, at work.

    Not for one that waits and has begun by itself: nobody asked for it, and given up it may come back.
    """
    with _runs_held_still(server):
        pass


def swap(server: Server, new: str) -> tuple[str, list[str]]:
    """Put ``new`` in the place of the live database, and make it like that one. Raises InUse.

    What the old one is called from now on, and the statements of `make_like` that our role may not execute.

    See Note [How nobody is inside].
    """
    old = f"{base(server.database)}_before_{stamp()}"
    with _runs_held_still(server) as guard, server.maintenance() as connection:
        try:
            with _sessions_ended(server, guard), connection.transaction():
                model = properties_of(server.database, connection.cursor())
                _rename(connection, server.database, old)
                refused = _put(connection, new, server, model)
        except psycopg.errors.ObjectInUse as exc:
            raise InUse(f"{_first_line(exc)}; nothing was changed.\n{_inside(server)}") from exc
    return old, refused


def put_in_place(server: Server, new: str, remembered: Properties | None) -> list[str]:
    """As `swap`, where there is no live database, but what a backup remembers of it."""
    with server.maintenance() as connection, connection.transaction():
        return _put(connection, new, server, remembered)


def _put(connection: Connection, new: str, server: Server, model: Properties | None) -> list[str]:
    _rename(connection, new, server.database)
    return make_like(connection, server.database, model) if model else []


def drop_old(server: Server) -> list[str]:
    """Drop the databases that restores of the live one have put aside; their names."""
    with server.maintenance() as connection:
        found = databases(connection, rf"{re.escape(base(server.database))}_before_\d{{8}}_\d{{6}}")
        for name in found:
            database = sql.Identifier(name)
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(database))
            connection.execute(sql.SQL("DROP DATABASE {}").format(database))
    return found


@contextmanager
def _runs_held_still(server: Server) -> Iterator[Connection]:
    """Inside, no run of the live database begins or moves. Raises InUse where one is active."""
    with server.connect(server.database) as connection:
        connection.execute("BEGIN; SET LOCAL lock_timeout = '5s'")
        if connection.execute(_THERE).fetchone() == (True,):
            connection.execute("LOCK TABLE ops_run IN SHARE MODE")
            found = connection.execute(_ACTIVE_RUNS, [list(MOVING)]).fetchall()
            if told := [_told(run) for run in found if not _waits_by_itself(run)]:
                raise InUse("\n".join(["Runs are active, so the database is not replaced:", *told]))
        yield connection
        connection.close()  # by now the server may have ended it


def _waits_by_itself(run: tuple[int, str, str]) -> bool:
    _, operation, state = run
    return state == State.QUEUED and registry.begins_by_itself(operation)


def _told(run: tuple[int, str, str]) -> str:
    number, operation, state = run
    return f"  run {number} ({operation}) is {State(state).label}: {to_halt(number, State(state))}"


@contextmanager
def _sessions_ended(server: Server, last: Connection) -> Iterator[None]:
    stop = Event()
    with server.maintenance() as connection:
        thread = Thread(target=_end_sessions, args=[connection, server.database, last.info.backend_pid, stop])
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _end_sessions(connection: Connection, database: str, last: int, stop: Event) -> None:
    with suppress(psycopg.OperationalError):  # the server is away: the rename says so
        while not stop.wait(_LOOK_AGAIN):
            for (pid,) in connection.execute(_INSIDE, [database, last]).fetchall():
                with suppress(psycopg.errors.InsufficientPrivilege):  # the rename waits in vain, and says so
                    connection.execute("SELECT pg_terminate_backend(%s)", [pid])


def _rename(connection: Connection, name: str, to: str) -> None:
    connection.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
    )


def _inside(server: Server) -> str:
    with server.maintenance() as connection:
        statement = "SELECT pid, usename, application_name FROM pg_stat_activity WHERE datname = %s"
        found = connection.execute(statement, [server.database]).fetchall()
    told = ", ".join(f"process {pid} ({user} {name})" for pid, user, name in found)
    return f"Whoever may end these sessions: {told or 'a prepared transaction (pg_prepared_xacts)'}."


def _first_line(exc: psycopg.Error) -> str:
    return str(exc).splitlines()[0]
