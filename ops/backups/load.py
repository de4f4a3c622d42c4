"""Filling an empty database from a backup, and counting what came."""

from __future__ import annotations

import gzip
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from psycopg import sql

from ops.backups import programs, record, versions
from ops.backups.errors import BadFile, Damaged, Failed
from ops.backups.programs import Programs
from ops.backups.scratch import scratch
from ops.backups.server import Server
from ops.backups.tables import count_tables, differences
from ops.models import Backup

_MOST_JOBS = 4
# From 17 on pg_dump and pg_restore begin with this, which an older server refuses.
_WITH_TIMEOUT, _TIMEOUT = 17, b"SET transaction_timeout = 0;\n"
_HEAD = 1 << 16  # bytes, of which it stands in the first few hundred
_PSQL = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-")


def verify(backup: Backup, server: Server) -> None:
    """Restore the backup into a scratch database and count; write down that it was found whole."""
    with scratch(server, "verify") as database:
        fill(database, backup, server)
    backup.verified_at = timezone.now()
    record.write(backup)


def fill(database: str, backup: Backup, server: Server) -> None:
    """Load the backup into the empty database, and hold its rows against the record.

    Raises BadFile, NoProgram, Failed, Damaged.
    """
    chosen, foreign = _programs(backup, server)
    if backup.file.suffix != ".dump":
        with _opened(backup.file) as opened:
            _run_psql(chosen, database, opened, foreign, server)
    elif foreign:
        written = ("--file=-", backup.file)
        with chosen.running("pg_restore", *written, server=server, database=database, stdout=-1) as process:
            _run_psql(chosen, database, process.stdout, foreign, server)
    else:
        jobs = min(_MOST_JOBS, os.cpu_count() or 1)
        flags = ("--exit-on-error", f"--jobs={jobs}", f"--dbname={database}", backup.file)
        with chosen.running("pg_restore", *flags, server=server, database=database):
            pass
    with server.connect(database) as connection, connection.transaction(), connection.cursor() as cursor:
        if wrong := differences(count_tables(cursor), backup.counts):
            told = "\n  ".join(wrong[:10])
            raise Damaged(f"{backup.path} does not hold the rows that its record tells of:\n  {told}")


def check_in_sight(backup: Backup, alias: str, live: str) -> None:
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
    raise Failed(
        f"{backup.path} has its tables in the schema {schemas[0]}, where nobody would find them:"
        f" sessions look into {path}. To let them look there: {asked.as_string()}"
    )


def _run_psql(
    chosen: Programs, database: str, script: IO[bytes] | None, foreign: bytes, server: Server
) -> None:
    with chosen.running("psql", *_PSQL, server=server, database=database, stdin=-1) as process:
        assert script  # noqa: S101 - for mypy: they are pipes
        assert process.stdin  # noqa: S101
        with suppress(BrokenPipeError), process.stdin:  # psql says itself why it ended
            process.stdin.write(script.read(_HEAD).replace(foreign, b"", 1))
            shutil.copyfileobj(script, process.stdin, 1 << 18)


def _opened(file: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _programs(backup: Backup, server: Server) -> tuple[Programs, bytes]:
    """Those that can read the dump and speak with the server, and what of theirs it would not know."""
    with server.maintenance() as connection:
        major = connection.info.server_version // 10_000
        encrypted = connection.pgconn.ssl_in_use
    made_on, made_by = versions.major_of(backup.server_version), versions.major_of(backup.program_version)
    if made_on > major:
        raise BadFile(
            f"{backup.path} was made on PostgreSQL {made_on}, and this server is {major}:"
            f" restore it on PostgreSQL {made_on} or newer."
        )
    chosen = programs.choose(max(major, made_by), server, encrypted)
    writer = chosen.major if backup.file.suffix == ".dump" else made_by
    return chosen, _TIMEOUT if writer >= _WITH_TIMEOUT > major else b""
