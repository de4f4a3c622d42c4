"""Create a backup: pg_dump runs on an exported snapshot, in which the rows are counted too."""

from __future__ import annotations

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

from ops.atomic_files import fsync_directory, lock_exclusively, partial_path
from ops.backups import client_tools, manifest
from ops.backups.errors import InvalidBackupFile, MaintenanceFailed
from ops.backups.properties import read_database_properties, redact_custom_settings
from ops.backups.server import Server
from ops.backups.tables import count_rows_by_table
from ops.db import read_only_snapshot
from ops.models import Backup
from ops.server_errors import server_address
from ops.session import database_name

# Plain SQL drops the tables first, since psql restores it into the live database.
_PLAIN_FORMAT_FLAGS = ("--format=plain", "--clean", "--if-exists")
_FORMAT_FLAGS = {
    ".dump": ("--format=custom",),
    ".sql": (*_PLAIN_FORMAT_FLAGS,),
    ".gz": (*_PLAIN_FORMAT_FLAGS, "--compress=6"),
}


def default_backup_path() -> Path:
    """Return a new path in BACKUP_DIR, which is created if needed. Raises InvalidBackupFile."""
    folder = Path(settings.BACKUP_DIR)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise InvalidBackupFile(
            f"The folder {folder} (BACKUP_DIR) cannot be created: {exc.strerror}."
        ) from exc
    return folder / f"{database_name()}-{timezone.now():%Y%m%dT%H%M%SZ}.dump"


def create_backup(file: Path) -> Backup:
    """Dump the database into a new file, and write its manifest beside it, both atomically.

    Raises InvalidBackupFile, ClientToolNotFound, MaintenanceFailed.
    """
    manifest.check_filename(file)
    _refuse_standby()
    with _open_partial_file(file) as (partial, opened):
        backup = _run_pg_dump(opened, Backup(path=str(file.absolute())))
        backup.size, backup.sha256 = partial.stat().st_size, manifest.compute_sha256(partial)
        manifest.write_manifest(backup)  # before the dump is renamed: a visible dump has its manifest
    _register_backup(backup)
    return backup


def _refuse_standby() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        if cursor.fetchone() == (True,):
            raise MaintenanceFailed(
                f"PostgreSQL at {server_address()} is a standby. No backup was made: it cannot be recorded.\n"
                "Set DATABASE_URL (or DIRECT_DATABASE_URL, if it is set) to the primary."
            )


def _register_backup(backup: Backup) -> None:
    try:
        backup.save()
    except DatabaseError as exc:  # such as after a failover
        raise MaintenanceFailed(
            f"{backup.path} and its manifest are complete, but the database could not record them: {exc}"
        ) from exc


def _run_pg_dump(file: IO[bytes], backup: Backup) -> Backup:
    server, started = Server.default(), monotonic()
    with read_only_snapshot(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', '0', true),"
            " set_config('statement_timeout', '0', true),"
            " pg_export_snapshot(), now(),"
            " current_setting('server_version'), current_setting('server_version_num'),"
            " current_setting('search_path'),"
            " ARRAY(SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1)"
        )
        *_, snapshot, backup.started_at, backup.server_version, number, path, extensions = cursor.fetchone()
        properties = read_database_properties(server.database, cursor)
        session = {"search_path": path, "extensions": extensions}
        backup.properties = {**redact_custom_settings(properties), **session} if properties else None
        encrypted = connection.connection.pgconn.ssl_in_use
        tools = client_tools.choose_client_tools(int(number) // 10_000, server, encrypted)
        flags = (*_FORMAT_FLAGS[backup.file.suffix], f"--snapshot={snapshot}")
        with tools.run_tool("pg_dump", *flags, server=server, database=server.database, stdout=file):
            backup.counts = count_rows_by_table(cursor)
    os.fsync(file.fileno())
    backup.database, backup.program_version = server.database, tools.version
    backup.duration = timedelta(seconds=monotonic() - started)
    return backup


@contextmanager
def _open_partial_file(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a private, locked file beside the target, and rename it to the target when the block ends.

    One that a killed process left is overwritten.
    """
    _check_target(target)
    _remove_orphaned_files(target.absolute().parent)
    partial = partial_path(target)
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
        locked = lock_exclusively(partial, file.fileno())
    except BlockingIOError as exc:
        raise InvalidBackupFile(f"Another backup of that name is being written, as {partial}.") from exc
    if not locked:  # it was renamed to its target before it was locked, and must not be overwritten
        raise InvalidBackupFile(f"Another backup of that name has just been written, beside {partial}.")


def _remove_orphaned_files(folder: Path) -> None:
    """Remove the partial files of killed backups, which nobody has locked."""
    for suffix in manifest.BACKUP_SUFFIXES:
        for orphan in folder.glob(f".*{suffix}.partial"):
            with suppress(OSError), orphan.open("rb") as file:
                if lock_exclusively(orphan, file.fileno()):
                    orphan.unlink()
