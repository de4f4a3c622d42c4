"""The record beside a backup, ``NAME.json``: what the file must be, and hold.

A restore goes by it, not by the table of backups: it is for when the database, and that table with it, is
gone, or is another machine's.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ops.atomic_files import fsync_directory
from ops.backups import versions
from ops.backups.errors import CorruptBackup, InvalidBackupFile
from ops.command_lines import manage_command
from ops.models import Backup

BACKUP_SUFFIXES = (".dump", ".sql", ".sql.gz")
_LIST_HINT = f"To see the backups: {manage_command('backups')}"
_COPIED_FIELDS = ("database", "size", "sha256", "server_version", "program_version", "counts")


def manifest_path(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def check_filename(file: Path) -> None:
    """Raise BadFile unless the name says which format it is."""
    if "\0" in str(file) or not file.name.endswith(BACKUP_SUFFIXES) or file.name in BACKUP_SUFFIXES:
        raise InvalidBackupFile(
            f"{str(file)!r} is no name for a backup: it must end in .dump, .sql or .sql.gz."
        )


def to_dict(backup: Backup) -> dict[str, Any]:
    return {
        "file": backup.file.name,
        **{name: getattr(backup, name) for name in (*_COPIED_FIELDS, "properties")},
        "started_at": backup.started_at.isoformat(),
        "seconds": backup.duration.total_seconds(),
        "verified_at": backup.verified_at and backup.verified_at.isoformat(),
    }


def write_manifest(backup: Backup) -> None:
    """Write the record of a backup, whole or not at all."""
    target = manifest_path(backup.file)
    new = target.with_name(f".{target.name}.new")
    try:
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(to_dict(backup), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
        fsync_directory(target.parent)
    finally:
        new.unlink(missing_ok=True)


def read_manifest(file: Path) -> Backup:
    """The backup as its record tells of it. Raises BadFile."""
    record = manifest_path(file)
    try:
        told = json.loads(record.read_text())
        verified = told["verified_at"]
        for name in ("server_version", "program_version"):
            versions.version_sort_key(told[name])
        return Backup(
            path=str(file.absolute()),
            **{name: told[name] for name in _COPIED_FIELDS},
            properties=told.get("properties"),
            started_at=datetime.fromisoformat(told["started_at"]),
            duration=timedelta(seconds=told["seconds"]),
            verified_at=verified and datetime.fromisoformat(verified),
        )
    except FileNotFoundError as exc:
        raise InvalidBackupFile(
            f"{file} has no record: there is no {record.name} beside it, without which nothing tells whether"
            " the file is whole. Copy it along with the backup."
        ) from exc
    except OSError as exc:
        raise InvalidBackupFile(f"{record} cannot be read: {exc.strerror}.") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise InvalidBackupFile(
            f"{record} is not the record of a backup: {type(exc).__name__}: {exc}."
        ) from exc


def verify_file(file: Path) -> Backup:
    """Hold the file against its record. Raises BadFile, Damaged."""
    try:
        found = file.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise InvalidBackupFile(f"{file} is a link to {file.readlink()}: name the file itself.")
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "no ordinary file"
            raise InvalidBackupFile(f"{file} is {what}. {_LIST_HINT}")
        check_filename(file)
        backup = read_manifest(file)
        _check_size_and_digest(file, found.st_size, backup)
    except FileNotFoundError as exc:
        raise InvalidBackupFile(f"There is no file {file}. {_LIST_HINT}") from exc
    except OSError as exc:
        raise InvalidBackupFile(f"{file} cannot be read: {exc.strerror}.") from exc
    return backup


def compute_sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check_size_and_digest(file: Path, size: int, backup: Backup) -> None:
    if size != backup.size:
        what = "truncated" if size < backup.size else "longer than it was"
        raise CorruptBackup(
            f"{file} is {what}: {size:,} bytes, and its record says {backup.size:,}."
            f" Use another. {_LIST_HINT}"
        )
    if compute_sha256(file) != backup.sha256:
        raise CorruptBackup(
            f"{file} is damaged: its SHA-256 is not the one in its record. Use another. {_LIST_HINT}"
        )
