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

from ops.backups import programs, record
from ops.backups.errors import BadFile, Failed
from ops.backups.properties import for_record, properties_of
from ops.backups.server import Server
from ops.backups.tables import count_tables
from ops.db import read_only
from ops.models import Backup
from ops.session import database_name
from ops.trouble import address
from ops.whole import is_at, sync

# Plain SQL drops what is there first: it is restored into the live database, by psql.
_PLAIN = ("--format=plain", "--clean", "--if-exists")
_FORMATS = {
    ".dump": ("--format=custom",),
    ".sql": (*_PLAIN,),
    ".gz": (*_PLAIN, "--compress=6"),
}


def new_name() -> Path:
    """Where a backup goes that was given no name; the folder is made."""
    folder = Path(settings.BACKUP_DIR)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise BadFile(f"The folder {folder} cannot be made: {exc.strerror}. BACKUP_DIR names it.") from exc
    return folder / f"{database_name()}-{timezone.now():%Y%m%dT%H%M%SZ}.dump"


def backup(file: Path) -> Backup:
    """Dump the database into a new file, written whole or not at all, with its record beside it.

    Raises BadFile, NoProgram, Failed.
    """
    record.check_name(file)
    _refuse_standby()
    with _new_file(file) as (partial, opened):
        made = _dump(opened, Backup(path=str(file.absolute())))
        made.size, made.sha256 = partial.stat().st_size, record.sha256(partial)
        record.write(made)  # before the file has its name: a dump that can be seen has its record
    _note(made)
    return made


def _refuse_standby() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        if cursor.fetchone() == (True,):
            raise Failed(
                f"PostgreSQL at {address()} is a standby, where no backup can be noted; none was made.\n"
                "Let DATABASE_URL (DIRECT_DATABASE_URL, where that is set) name the primary."
            )


def _note(made: Backup) -> None:
    try:
        made.save()
    except DatabaseError as exc:  # as where it failed over meanwhile
        raise Failed(
            f"{made.path} is whole, with its record beside it, but the database could not note it: {exc}"
        ) from exc


def _dump(file: IO[bytes], made: Backup) -> Backup:
    server, began = Server.default(), monotonic()
    with read_only(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', '0', true),"
            " set_config('statement_timeout', '0', true),"
            " pg_export_snapshot(), now(),"
            " current_setting('server_version'), current_setting('server_version_num'),"
            " current_setting('search_path'),"
            " ARRAY(SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1)"
        )
        *_, snapshot, made.started_at, made.server_version, number, path, extensions = cursor.fetchone()
        found = properties_of(server.database, cursor)
        ours = {"search_path": path, "extensions": extensions}
        made.properties = {**for_record(found), **ours} if found else None
        encrypted = connection.connection.pgconn.ssl_in_use
        chosen = programs.choose(int(number) // 10_000, server, encrypted)
        flags = (*_FORMATS[made.file.suffix], f"--snapshot={snapshot}")
        with chosen.running("pg_dump", *flags, server=server, database=server.database, stdout=file):
            made.counts = count_tables(cursor)
    os.fsync(file.fileno())
    made.database, made.program_version = server.database, chosen.version
    made.duration = timedelta(seconds=monotonic() - began)
    return made


@contextmanager
def _new_file(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file beside its place, for nobody else to read, which gets its name when the block ends.

    What it is called meanwhile is locked by whoever writes; what a killed process left is written over.
    """
    _check_free(target)
    _clear_left(target.absolute().parent)
    partial = target.absolute().with_name(f".{target.name}.partial")
    try:
        with open(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb") as file:
            _lock(file, partial)
            try:
                file.truncate(0)
                yield partial, file
                _check_free(target)
                partial.rename(target)
                sync(target.absolute().parent)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as exc:
        raise Failed(f"No backup was made: {target} cannot be written: {exc.strerror}.") from exc
    except Failed as exc:
        raise Failed(f"{target} was not made: {exc}") from exc


def _check_free(target: Path) -> None:
    folder = target.absolute().parent
    if not folder.is_dir():
        raise BadFile(f"There is no folder {folder} to write {target.name} in.")
    if os.path.lexists(target):
        raise BadFile(f"{target} exists, and a backup is never overwritten: name another.")


def _lock(file: IO[bytes], partial: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise BadFile(f"Another backup of that name is being written, as {partial}.") from exc
    if not is_at(partial, file.fileno()):  # It has its name by now: nothing of it may be written over.
        raise BadFile(f"Another backup of that name has just been written, beside {partial}.")


def _clear_left(folder: Path) -> None:
    """Remove what killed backups left: nobody holds it."""
    for suffix in record.SUFFIXES:
        for left in folder.glob(f".*{suffix}.partial"):
            with suppress(OSError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
