"""Swap the restored database with the live one in one transaction, with no session in either."""

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
# waits (and is then told that it was renamed), and then waits up to five seconds for the existing sessions to
# leave. In that time another connection terminates them, last of all the one that locks the table of runs.
# So no run begins between the last check of the runs and the swap, and a kill at any instant leaves the old
# names, or the new.
_BLOCKING_SESSIONS_SQL = """
SELECT pid FROM pg_stat_activity WHERE datname = %s AND EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND objid = datid
        AND mode = 'AccessExclusiveLock' AND granted)
ORDER BY pid = %s
"""


def has_live_database(server: Server) -> bool:
    """Whether there is a live database. Raises MaintenanceFailed if our role does not own it."""
    with server.connect_for_maintenance() as connection:
        row = connection.execute(_OWNER_SQL, [server.database]).fetchone()
    if row and not row[0]:
        _, owner, role = row
        raise MaintenanceFailed(
            f"The database {server.database} is owned by {owner}, so {role} may not replace it."
            f" As a superuser: GRANT {owner} TO {role}"
        )
    return row is not None


def refuse_active_runs(server: Server) -> None:
    """Raise DatabaseInUse while a run of the live database is active.

    Queued runs that were started automatically do not count: they would come back after a cancel.
    """
    with _lock_run_table(server):
        pass


def swap(server: Server, new: str) -> tuple[str, list[str]]:
    """Rename ``new`` to the live database, and give it that one's properties. Raises DatabaseInUse.

    Returns the new name of the replaced database, and the statements that our role may not execute.
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


def rename_into_place(server: Server, new: str, manifest_properties: DatabaseProperties | None) -> list[str]:
    """Rename ``new`` to the live database, which is gone, with the properties from the manifest.

    Returns the statements that our role may not execute.
    """
    with server.connect_for_maintenance() as connection, connection.transaction():
        return _rename_and_apply_properties(connection, new, server, manifest_properties)


def _rename_and_apply_properties(
    connection: Connection, new: str, server: Server, model: DatabaseProperties | None
) -> list[str]:
    _rename_database(connection, new, server.database)
    return apply_database_properties(connection, server.database, model) if model else []


def list_replaced_databases(server: Server) -> list[str]:
    """List the databases that restores have replaced."""
    pattern = rf"{re.escape(truncate_database_name(server.database))}_before_\d{{8}}_\d{{6}}"
    with server.connect_for_maintenance() as connection:
        return list_owned_databases(connection, pattern)


def drop_replaced_databases(server: Server) -> list[str]:
    """Drop the databases that restores have replaced; return their names."""
    names = list_replaced_databases(server)
    with server.connect_for_maintenance() as connection:
        for name in names:
            database = sql.Identifier(name)
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(database))
            connection.execute(sql.SQL("DROP DATABASE {}").format(database))
    return names


@contextmanager
def _lock_run_table(server: Server) -> Iterator[Connection]:
    """Lock the table of runs, so that none starts or changes. Raises DatabaseInUse if one is active."""
    with server.connect(server.database) as connection:
        connection.execute("BEGIN; SET LOCAL lock_timeout = '5s'")
        if connection.execute(_HAS_RUN_TABLE_SQL).fetchone() == (True,):
            connection.execute("LOCK TABLE ops_run IN SHARE MODE")
            runs = connection.execute(_ACTIVE_RUNS_SQL, [list(ACTIVE)]).fetchall()
            if lines := [_format_run(run) for run in runs if not _is_queued_automatically(run)]:
                raise DatabaseInUse("\n".join(["Runs are active, so the database is not replaced:", *lines]))
        yield connection
        connection.close()  # the server may have terminated it


def _is_queued_automatically(run: tuple[int, str, str]) -> bool:
    _, operation, state = run
    return state == State.QUEUED and registry.is_automatic(operation)


def _format_run(run: tuple[int, str, str]) -> str:
    number, operation, state = run
    return f"  run {number} ({operation}) is {State(state).label}: {halt_command(number, State(state))}"


@contextmanager
def _terminating_sessions(server: Server, guard: Connection) -> Iterator[None]:
    stop = Event()
    with server.connect_for_maintenance() as connection:
        thread = Thread(
            target=_terminate_blocking_sessions,
            args=[connection, server.database, guard.info.backend_pid, stop],
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _terminate_blocking_sessions(connection: Connection, database: str, last_pid: int, stop: Event) -> None:
    with suppress(psycopg.OperationalError):  # the server is away: the rename fails as well
        while not stop.wait(_POLL_INTERVAL):
            for (pid,) in connection.execute(_BLOCKING_SESSIONS_SQL, [database, last_pid]).fetchall():
                with suppress(psycopg.errors.InsufficientPrivilege):  # the rename then fails with ObjectInUse
                    connection.execute("SELECT pg_terminate_backend(%s)", [pid])


def _rename_database(connection: Connection, name: str, to: str) -> None:
    connection.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
    )


def _describe_sessions(server: Server) -> str:
    with server.connect_for_maintenance() as connection:
        statement = "SELECT pid, usename, application_name FROM pg_stat_activity WHERE datname = %s"
        rows = connection.execute(statement, [server.database]).fetchall()
    sessions = ", ".join(f"process {pid} ({user} {name})" for pid, user, name in rows)
    return f"These must end first: {sessions or 'a prepared transaction (pg_prepared_xacts)'}."
