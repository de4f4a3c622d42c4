"""Load a backup into an empty database, and count its rows."""

from __future__ import annotations

import os
import tempfile

import psycopg
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from psycopg import sql

from ops.backups import client_tools, manifest, versions
from ops.backups.client_tools import ClientTools
from ops.backups.errors import CorruptBackup, InvalidBackupFile, MaintenanceFailed
from ops.backups.scratch import temporary_database
from ops.backups.script import (
    SET_TRANSACTION_TIMEOUT,
    TRANSACTION_TIMEOUT_SINCE,
    exclude_extensions,
    extension_statement_prefixes,
    open_script,
    run_psql,
)
from ops.backups.server import Server
from ops.backups.tables import count_rows_by_table, describe_count_differences
from ops.models import Backup

_MAX_JOBS = 4


def verify_backup(backup: Backup, server: Server) -> None:
    """Restore the backup into a scratch database, and set verified_at in its manifest.

    Raises the errors of `restore_into`; the caller saves the backup.
    """
    with temporary_database(server, "verify") as database:
        restore_into(database, backup, server)
    backup.verified_at = timezone.now()
    manifest.write_manifest(backup)


def restore_into(database: str, backup: Backup, server: Server) -> list[str]:
    """Load the backup into the empty database, and compare its row counts with the manifest.

    Extensions that our role may not create are left out, and returned as statements to type.
    Raises InvalidBackupFile, ClientToolNotFound, MaintenanceFailed, CorruptBackup.
    """
    tools, major = _choose_tools_for_backup(backup, server)
    forbidden = _find_forbidden_extensions(database, backup, server)
    if backup.file.suffix == ".dump":
        _restore_archive(tools, major, database, backup, forbidden, server)
    else:
        tools_major = versions.parse_major_version(backup.program_version)
        with open_script(backup.file) as script:
            run_psql(tools, database, script, _excluded_prefixes(tools_major, major, forbidden), server)
    with server.connect(database) as connection, connection.transaction(), connection.cursor() as cursor:
        if differences := describe_count_differences(count_rows_by_table(cursor), backup.counts):
            lines = "\n  ".join(differences[:10])
            raise CorruptBackup(f"The rows of {backup.path} do not match its manifest:\n  {lines}")
    return [sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(name)).as_string() for name in forbidden]


def _restore_archive(
    tools: ClientTools, major: int, database: str, backup: Backup, forbidden: list[str], server: Server
) -> None:
    if tools.major_version >= TRANSACTION_TIMEOUT_SINCE > major:
        args = ("--file=-", backup.file)
        with tools.run_tool("pg_restore", *args, server=server, database=database, stdout=-1) as process:
            assert process.stdout  # noqa: S101 - for mypy: it is a pipe
            prefixes = _excluded_prefixes(tools.major_version, major, forbidden)
            run_psql(tools, database, process.stdout, prefixes, server)
        return
    with tempfile.NamedTemporaryFile("w") as entries:
        jobs = min(_MAX_JOBS, os.cpu_count() or 1)
        flags = ["--exit-on-error", f"--jobs={jobs}", f"--dbname={database}"]
        if forbidden:
            archive = _read_archive_list(tools, database, backup, server)
            entries.write(exclude_extensions(archive, forbidden))
            entries.flush()
            flags.append(f"--use-list={entries.name}")
        with tools.run_tool("pg_restore", *flags, backup.file, server=server, database=database):
            pass


def _read_archive_list(tools: ClientTools, database: str, backup: Backup, server: Server) -> str:
    args = ("--list", backup.file)
    with tools.run_tool("pg_restore", *args, server=server, database=database, stdout=-1) as process:
        assert process.stdout  # noqa: S101 - for mypy: it is a pipe
        return process.stdout.read().decode()


def _excluded_prefixes(tools_major: int, major: int, extensions: list[str]) -> list[bytes]:
    timeout = [SET_TRANSACTION_TIMEOUT.encode()] if tools_major >= TRANSACTION_TIMEOUT_SINCE > major else []
    return [*timeout, *(start for name in extensions for start in extension_statement_prefixes(name))]


def _find_forbidden_extensions(database: str, backup: Backup, server: Server) -> list[str]:
    """Find the backup's extensions that our role may not create, such as pg_stat_statements."""
    forbidden = []
    with server.connect(database) as connection:
        for name in (backup.properties or {}).get("extensions", []):
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(sql.SQL("CREATE EXTENSION {} CASCADE").format(sql.Identifier(name)))
            except psycopg.errors.InsufficientPrivilege:
                forbidden.append(name)
            except psycopg.Error:
                continue  # pg_restore will report it
    return forbidden


def check_search_path(backup: Backup, alias: str, live: str) -> None:
    """Raise MaintenanceFailed if the backup's tables are in a schema outside the search_path of the alias."""
    table = MigrationRecorder.Migration._meta.db_table
    schemas = [name.rpartition(".")[0] for name in backup.counts if name.rpartition(".")[2] == table]
    with connections[alias].cursor() as cursor:
        if not schemas or table in connections[alias].introspection.table_names(cursor):
            return
        cursor.execute("SHOW search_path")
        [(path,)] = cursor.fetchall()
    statement = sql.SQL("ALTER DATABASE {} SET search_path TO {}").format(
        sql.Identifier(live), sql.Identifier(schemas[0])
    )
    raise MaintenanceFailed(
        f"{backup.path} has its tables in the schema {schemas[0]}, which is not in the search_path of"
        f" sessions ({path}). To set it: {statement.as_string()}"
    )


def _choose_tools_for_backup(backup: Backup, server: Server) -> tuple[ClientTools, int]:
    """Return tools that can read the dump and connect to the server, and the server's major version."""
    with server.connect_for_maintenance() as connection:
        major = connection.info.server_version // 10_000
        encrypted = connection.pgconn.ssl_in_use
    backup_major = versions.parse_major_version(backup.server_version)
    tools_major = versions.parse_major_version(backup.program_version)
    if backup_major > major:
        raise InvalidBackupFile(
            f"{backup.path} was made on PostgreSQL {backup_major}, and this server is {major}:"
            f" restore it on PostgreSQL {backup_major} or newer."
        )
    return client_tools.choose_client_tools(max(major, tools_major), server, encrypted), major
