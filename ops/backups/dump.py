"""Making a backup: pg_dump on a snapshot of ours, so that the rows counted are the rows dumped."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import IO

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from ops.atomic_files import fsync_directory, is_same_file
from ops.backups import client_tools, manifest
from ops.backups.errors import InvalidBackupFile, MaintenanceFailed
from ops.backups.properties import read_database_properties, redact_custom_settings
from ops.backups.server import Server
from ops.backups.tables import count_rows_by_table
from ops.db import read_only_snapshot
from ops.models import Backup
from ops.server_errors import server_address
from ops.session import database_name

# Plain SQL drops what is there first: it is restored into the live database, by psql.
_PLAIN_FORMAT_FLAGS = ("--format=plain", "--clean", "--if-exists")
_FORMAT_FLAGS = {
    ".dump": ("--format=custom",),
    ".sql": (*_PLAIN_FORMAT_FLAGS,),
    ".gz": (*_PLAIN_FORMAT_FLAGS, "--compress=6"),
}


def default_backup_path() -> Path:
    """Where a backup goes that was given no name; the folder is made."""
    folder = Path(settings.BACKUP_DIR)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise InvalidBackupFile(
            f"The folder {folder} cannot be made: {exc.strerror}. BACKUP_DIR names it."
        ) from exc
    return folder / f"{database_name()}-{timezone.now():%Y%m%dT%H%M%SZ}.dump"


def create_backup(file: Path) -> Backup:
    """Dump the database into a new file, written whole or not at all, with its record beside it.

    Raises BadFile, NoProgram, Failed.
    """
    manifest.check_filename(file)
    _refuse_standby()
    with _open_partial_file(file) as (partial, opened):
        made = _run_pg_dump(opened, Backup(path=str(file.absolute())))
        made.size, made.sha256 = partial.stat().st_size, manifest.compute_sha256(partial)
        manifest.write_manifest(made)  # before the file has its name: a dump that can be seen has its record
    _register_backup(made)
    return made


def _refuse_standby() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        if cursor.fetchone() == (True,):
            raise MaintenanceFailed(
                f"PostgreSQL at {server_address()} is a standby: no backup was made, none can be recorded.\n"
                "Let DATABASE_URL (DIRECT_DATABASE_URL, where that is set) name the primary."
            )


def _register_backup(made: Backup) -> None:
    try:
        made.save()
    except DatabaseError as exc:  # as where it failed over meanwhile
        raise MaintenanceFailed(
            f"{made.path} is whole, with its record beside it, but the database could not note it: {exc}"
        ) from exc


def _run_pg_dump(file: IO[bytes], made: Backup) -> Backup:
    server, began = Server.default(), monotonic()
    with read_only_snapshot(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', '0', true),"
            " set_config('statement_timeout', '0', true),"
            " pg_export_snapshot(), now(),"
            " current_setting('server_version'), current_setting('server_version_num'),"
            " current_setting('search_path'),"
            " ARRAY(SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1)"
        )
        *_, snapshot, made.started_at, made.server_version, number, path, extensions = cursor.fetchone()
        found = read_database_properties(server.database, cursor)
        ours = {"search_path": path, "extensions": extensions}
        made.properties = {**redact_custom_settings(found), **ours} if found else None
        encrypted = connection.connection.pgconn.ssl_in_use
        chosen = client_tools.choose_client_tools(int(number) // 10_000, server, encrypted)
        flags = (*_FORMAT_FLAGS[made.file.suffix], f"--snapshot={snapshot}")
        with chosen.run_tool("pg_dump", *flags, server=server, database=server.database, stdout=file):
            made.counts = count_rows_by_table(cursor)
    os.fsync(file.fileno())
    made.database, made.program_version = server.database, chosen.version
    made.duration = timedelta(seconds=monotonic() - began)
    return made


@contextmanager
def _open_partial_file(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file beside its place, for nobody else to read, which gets its name when the block ends.

    What it is called meanwhile is locked by whoever writes; what a killed process left is written over.
    """
    _check_target(target)
    _remove_orphaned_files(target.absolute().parent)
    partial = target.absolute().with_name(f".{target.name}.partial")
    try:
        with open(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb") as file:
            _lock_partial_file(file, partial)
            try:
                file.truncate(0)
                yield partial, file
                _check_target(target)
                partial.rename(target)
                fsync_directory(target.absolute().parent)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as exc:
        raise MaintenanceFailed(f"No backup was made: {target} cannot be written: {exc.strerror}.") from exc
    except MaintenanceFailed as exc:
        raise MaintenanceFailed(f"{target} was not made: {exc}") from exc


def _check_target(target: Path) -> None:
    folder = target.absolute().parent
    if not folder.is_dir():
        raise InvalidBackupFile(f"There is no folder {folder} to write {target.name} in.")
    if os.path.lexists(target):
        raise InvalidBackupFile(f"{target} exists, and a backup is never overwritten: name another.")


def _lock_partial_file(file: IO[bytes], partial: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise InvalidBackupFile(f"Another backup of that name is being written, as {partial}.") from exc
    if not is_same_file(partial, file.fileno()):  # It has its name by now: nothing of it may be written over.
        raise InvalidBackupFile(f"Another backup of that name has just been written, beside {partial}.")


def _remove_orphaned_files(folder: Path) -> None:
    """Remove what killed backups left: nobody holds it."""
    for suffix in manifest.BACKUP_SUFFIXES:
        for left in folder.glob(f".*{suffix}.partial"):
            with suppress(OSError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
