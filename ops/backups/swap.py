"""The restored database takes the place of the live one, in one transaction, with nobody inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import psycopg
from psycopg import sql

from ops.backups.clone_database import apply_database_properties
from ops.backups.errors import DatabaseInUse, MaintenanceFailed
from ops.backups.properties import DatabaseProperties, read_database_properties
from ops.backups.scratch import list_owned_databases, truncate_database_name, utc_timestamp
from ops.backups.server import Connection, Server
from ops.formatting import first_line
from ops.operations import registry
from ops.runs.next_steps import halt_command
from ops.states import ACTIVE, State

_POLL_INTERVAL = 0.02
_ACTIVE_RUNS_SQL = "SELECT id, operation, state FROM ops_run WHERE state = ANY(%s) ORDER BY id"
_OWNER_SQL = """
SELECT pg_has_role(datdba, 'USAGE'), quote_ident(pg_get_userbyid(datdba)), quote_ident(current_user)
FROM pg_database WHERE datname = %s
"""
_HAS_RUN_TABLE_SQL = "SELECT to_regclass('ops_run') IS NOT NULL"
# Note [How nobody is inside]
# A database can be renamed only while no session is in it. RENAME first locks it, so that whoever connects
# waits (and is then told that it was renamed), and then waits up to five seconds for the sessions that there
# are to leave. In that time another connection ends them, and as the last the one that holds the runs still.
# So no run begins between the last look at the runs and the swap, and a kill at any instant leaves the old
# names, or the new.
_BLOCKING_SESSIONS_SQL = """
SELECT pid FROM pg_stat_activity WHERE datname = %s AND EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND objid = datid
        AND mode = 'AccessExclusiveLock' AND granted)
ORDER BY pid = %s
"""


def has_live_database(server: Server) -> bool:
    """Whether there is a live database. Raises Failed where it is not for our role to replace."""
    with server.connect_for_maintenance() as connection:
        found = connection.execute(_OWNER_SQL, [server.database]).fetchone()
    if found and not found[0]:
        _, owner, ours = found
        raise MaintenanceFailed(
            f"The database {server.database} is owned by {owner}, so that {ours} may not replace it."
            f" As a superuser: GRANT {owner} TO {ours}"
        )
    return found is not None


def refuse_active_runs(server: Server) -> None:
    """Raises InUse while a run of the live database is, or may soon be, at work.

    Not for one that waits and has begun by itself: nobody asked for it, and given up it may come back.
    """
    with _lock_run_table(server):
        pass


def swap(server: Server, new: str) -> tuple[str, list[str]]:
    """Put ``new`` in the place of the live database, and make it like that one. Raises InUse.

    What the old one is called from now on, and the statements of `make_like` that our role may not execute.

    See Note [How nobody is inside].
    """
    old = f"{truncate_database_name(server.database)}_before_{utc_timestamp()}"
    with _lock_run_table(server) as guard, server.connect_for_maintenance() as connection:
        try:
            with _terminating_sessions(server, guard), connection.transaction():
                model = read_database_properties(server.database, connection.cursor())
                _rename_database(connection, server.database, old)
                refused = _rename_and_apply_properties(connection, new, server, model)
        except psycopg.errors.ObjectInUse as exc:
            raise DatabaseInUse(
                f"{first_line(exc)}; nothing was changed.\n{_describe_sessions(server)}"
            ) from exc
    return old, refused


def rename_into_place(server: Server, new: str, remembered: DatabaseProperties | None) -> list[str]:
    """As `swap`, where there is no live database, but what a backup remembers of it."""
    with server.connect_for_maintenance() as connection, connection.transaction():
        return _rename_and_apply_properties(connection, new, server, remembered)


def _rename_and_apply_properties(
    connection: Connection, new: str, server: Server, model: DatabaseProperties | None
) -> list[str]:
    _rename_database(connection, new, server.database)
    return apply_database_properties(connection, server.database, model) if model else []


def drop_replaced_databases(server: Server) -> list[str]:
    """Drop the databases that restores of the live one have put aside; their names."""
    with server.connect_for_maintenance() as connection:
        found = list_owned_databases(
            connection, rf"{re.escape(truncate_database_name(server.database))}_before_\d{{8}}_\d{{6}}"
        )
        for name in found:
            database = sql.Identifier(name)
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(database))
            connection.execute(sql.SQL("DROP DATABASE {}").format(database))
    return found


@contextmanager
def _lock_run_table(server: Server) -> Iterator[Connection]:
    """Inside, no run of the live database begins or moves. Raises InUse where one is active."""
    with server.connect(server.database) as connection:
        connection.execute("BEGIN; SET LOCAL lock_timeout = '5s'")
        if connection.execute(_HAS_RUN_TABLE_SQL).fetchone() == (True,):
            connection.execute("LOCK TABLE ops_run IN SHARE MODE")
            found = connection.execute(_ACTIVE_RUNS_SQL, [list(ACTIVE)]).fetchall()
            if told := [_format_run(run) for run in found if not _is_queued_automatically(run)]:
                raise DatabaseInUse("\n".join(["Runs are active, so the database is not replaced:", *told]))
        yield connection
        connection.close()  # by now the server may have ended it


def _is_queued_automatically(run: tuple[int, str, str]) -> bool:
    _, operation, state = run
    return state == State.QUEUED and registry.is_automatic(operation)


def _format_run(run: tuple[int, str, str]) -> str:
    number, operation, state = run
    return f"  run {number} ({operation}) is {State(state).label}: {halt_command(number, State(state))}"


@contextmanager
def _terminating_sessions(server: Server, last: Connection) -> Iterator[None]:
    stop = Event()
    with server.connect_for_maintenance() as connection:
        thread = Thread(
            target=_terminate_blocking_sessions,
            args=[connection, server.database, last.info.backend_pid, stop],
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _terminate_blocking_sessions(connection: Connection, database: str, last: int, stop: Event) -> None:
    with suppress(psycopg.OperationalError):  # the server is away: the rename says so
        while not stop.wait(_POLL_INTERVAL):
            for (pid,) in connection.execute(_BLOCKING_SESSIONS_SQL, [database, last]).fetchall():
                with suppress(psycopg.errors.InsufficientPrivilege):  # the rename waits in vain, and says so
                    connection.execute("SELECT pg_terminate_backend(%s)", [pid])


def _rename_database(connection: Connection, name: str, to: str) -> None:
    connection.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
    )


def _describe_sessions(server: Server) -> str:
    with server.connect_for_maintenance() as connection:
        statement = "SELECT pid, usename, application_name FROM pg_stat_activity WHERE datname = %s"
        found = connection.execute(statement, [server.database]).fetchall()
    told = ", ".join(f"process {pid} ({user} {name})" for pid, user, name in found)
    return f"Whoever may end these sessions: {told or 'a prepared transaction (pg_prepared_xacts)'}."
