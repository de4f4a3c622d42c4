"""Filling an empty database from a backup, and counting what came."""

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
    """Restore the backup into a scratch database and count; write down that it was found whole."""
    with temporary_database(server, "verify") as database:
        restore_into(database, backup, server)
    backup.verified_at = timezone.now()
    manifest.write_manifest(backup)


def restore_into(database: str, backup: Backup, server: Server) -> list[str]:
    """Load the backup into the empty database, and hold its rows against the record.

    The extensions that our role may not make are left out, and returned as what to type.
    Raises BadFile, NoProgram, Failed, Damaged.
    """
    chosen, major = _choose_tools_for_backup(backup, server)
    refused = _find_forbidden_extensions(database, backup, server)
    if backup.file.suffix == ".dump":
        _restore_archive(chosen, major, database, backup, refused, server)
    else:
        made_by = versions.parse_major_version(backup.program_version)
        with open_script(backup.file) as script:
            run_psql(chosen, database, script, _excluded_prefixes(made_by, major, refused), server)
    with server.connect(database) as connection, connection.transaction(), connection.cursor() as cursor:
        if wrong := describe_count_differences(count_rows_by_table(cursor), backup.counts):
            told = "\n  ".join(wrong[:10])
            raise CorruptBackup(f"{backup.path} does not hold the rows that its record tells of:\n  {told}")
    return [sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(name)).as_string() for name in refused]


def _restore_archive(
    chosen: ClientTools, major: int, database: str, backup: Backup, refused: list[str], server: Server
) -> None:
    if chosen.major_version >= TRANSACTION_TIMEOUT_SINCE > major:
        written = ("--file=-", backup.file)
        with chosen.run_tool("pg_restore", *written, server=server, database=database, stdout=-1) as process:
            assert process.stdout  # noqa: S101 - for mypy: it is a pipe
            run_psql(
                chosen,
                database,
                process.stdout,
                _excluded_prefixes(chosen.major_version, major, refused),
                server,
            )
        return
    with tempfile.NamedTemporaryFile("w") as entries:
        jobs = min(_MAX_JOBS, os.cpu_count() or 1)
        flags = ["--exit-on-error", f"--jobs={jobs}", f"--dbname={database}"]
        if refused:
            entries.write(exclude_extensions(_read_archive_list(chosen, database, backup, server), refused))
            entries.flush()
            flags.append(f"--use-list={entries.name}")
        with chosen.run_tool("pg_restore", *flags, backup.file, server=server, database=database):
            pass


def _read_archive_list(chosen: ClientTools, database: str, backup: Backup, server: Server) -> str:
    listed = ("--list", backup.file)
    with chosen.run_tool("pg_restore", *listed, server=server, database=database, stdout=-1) as process:
        assert process.stdout  # noqa: S101 - for mypy: it is a pipe
        return process.stdout.read().decode()


def _excluded_prefixes(made_by: int, major: int, refused: list[str]) -> list[bytes]:
    timeout = [SET_TRANSACTION_TIMEOUT.encode()] if made_by >= TRANSACTION_TIMEOUT_SINCE > major else []
    return [*timeout, *(start for name in refused for start in extension_statement_prefixes(name))]


def _find_forbidden_extensions(database: str, backup: Backup, server: Server) -> list[str]:
    """Those of the backup that our role may not make, as pg_stat_statements, which a superuser has made."""
    refused = []
    with server.connect(database) as connection:
        for name in (backup.properties or {}).get("extensions", []):
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(sql.SQL("CREATE EXTENSION {} CASCADE").format(sql.Identifier(name)))
            except psycopg.errors.InsufficientPrivilege:
                refused.append(name)
            except psycopg.Error:
                continue  # pg_restore tells why
    return refused


def check_search_path(backup: Backup, alias: str, live: str) -> None:
    """Raises Failed where the backup's tables came into a schema in which its sessions do not look."""
    table = MigrationRecorder.Migration._meta.db_table
    schemas = [name.rpartition(".")[0] for name in backup.counts if name.rpartition(".")[2] == table]
    with connections[alias].cursor() as cursor:
        if not schemas or table in connections[alias].introspection.table_names(cursor):
            return
        cursor.execute("SHOW search_path")
        [(path,)] = cursor.fetchall()
    asked = sql.SQL("ALTER DATABASE {} SET search_path TO {}").format(
        sql.Identifier(live), sql.Identifier(schemas[0])
    )
    raise MaintenanceFailed(
        f"{backup.path} has its tables in the schema {schemas[0]}, where nobody would find them:"
        f" sessions look into {path}. To let them look there: {asked.as_string()}"
    )


def _choose_tools_for_backup(backup: Backup, server: Server) -> tuple[ClientTools, int]:
    """Those that can read the dump and speak with the server, and that one's major version."""
    with server.connect_for_maintenance() as connection:
        major = connection.info.server_version // 10_000
        encrypted = connection.pgconn.ssl_in_use
    made_on, made_by = (
        versions.parse_major_version(backup.server_version),
        versions.parse_major_version(backup.program_version),
    )
    if made_on > major:
        raise InvalidBackupFile(
            f"{backup.path} was made on PostgreSQL {made_on}, and this server is {major}:"
            f" restore it on PostgreSQL {made_on} or newer."
        )
    return client_tools.choose_client_tools(max(major, made_by), server, encrypted), major
