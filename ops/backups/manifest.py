"""The manifest beside a backup, ``NAME.json``: size, digest and row counts that the file must have.

A restore reads it instead of the table of backups, which may be lost together with the database.
"""

from __future__ import annotations

import hashlib
import json
import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ops.atomic_files import fsync_directory, write_synced
from ops.backups import versions
from ops.backups.errors import CorruptBackup, InvalidBackupFile
from ops.command_lines import manage_command
from ops.models import Backup

BACKUP_SUFFIXES = (".dump", ".sql", ".sql.gz")
_LIST_HINT = f"To list the backups: {manage_command('backups')}"
_COPIED_FIELDS = ("database", "size", "sha256", "server_version", "program_version", "counts")


def manifest_path(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def check_filename(file: Path) -> None:
    """Raise InvalidBackupFile unless the suffix names a format."""
    if "\0" in str(file) or not file.name.endswith(BACKUP_SUFFIXES) or file.name in BACKUP_SUFFIXES:
        raise InvalidBackupFile(
            f"{str(file)!r} is not a valid name for a backup: it must end in .dump, .sql or .sql.gz."
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
    """Write or replace the manifest of a backup atomically. Raises OSError."""
    path = manifest_path(backup.file)
    write_synced(path, f"{json.dumps(to_dict(backup), indent=2)}\n", overwrite=True, mode=0o600)
    fsync_directory(path.parent)


def read_manifest(file: Path) -> Backup:
    """Return the backup that the manifest describes, not saved. Raises InvalidBackupFile."""
    path = manifest_path(file)
    try:
        values = json.loads(path.read_text())
        verified_at = values["verified_at"]
        for name in ("server_version", "program_version"):
            versions.version_sort_key(values[name])
        return Backup(
            path=str(file.absolute()),
            **{name: values[name] for name in _COPIED_FIELDS},
            properties=values.get("properties"),
            started_at=datetime.fromisoformat(values["started_at"]),
            duration=timedelta(seconds=values["seconds"]),
            verified_at=verified_at and datetime.fromisoformat(verified_at),
        )
    except FileNotFoundError as exc:
        raise InvalidBackupFile(
            f"{file} has no manifest: there is no {path.name} beside it to check the file against."
            " Copy it along with the backup."
        ) from exc
    except OSError as exc:
        raise InvalidBackupFile(f"{path} cannot be read: {exc.strerror}.") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise InvalidBackupFile(
            f"{path} is not the manifest of a backup: {type(exc).__name__}: {exc}."
        ) from exc


def check_file(file: Path) -> int:
    """Return the size of the file in bytes. Raises InvalidBackupFile if it cannot be a backup."""
    try:
        status = file.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise InvalidBackupFile(f"{file} is a link to {file.readlink()}: name the file itself.")
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise InvalidBackupFile(f"{file} is {kind}. {_LIST_HINT}")
        check_filename(file)
        return status.st_size
    except FileNotFoundError as exc:
        raise InvalidBackupFile(f"There is no file {file}. {_LIST_HINT}") from exc
    except OSError as exc:
        raise _unreadable_error(file, exc) from exc


def verify_file(file: Path) -> Backup:
    """Check the file against its manifest, and return the backup. Raises InvalidBackupFile, CorruptBackup."""
    size, backup = check_file(file), read_manifest(file)
    try:
        _check_size_and_digest(file, size, backup)
    except OSError as exc:
        raise _unreadable_error(file, exc) from exc
    return backup


def _unreadable_error(file: Path, error: OSError) -> InvalidBackupFile:
    return InvalidBackupFile(f"{file} cannot be read: {error.strerror}.")


def compute_sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check_size_and_digest(file: Path, size: int, backup: Backup) -> None:
    if size != backup.size:
        problem = "is truncated" if size < backup.size else "has changed since the backup"
        raise CorruptBackup(
            f"{file} {problem}: {size:,} bytes, and its manifest says {backup.size:,}."
            f" Use another backup. {_LIST_HINT}"
        )
    if compute_sha256(file) != backup.sha256:
        raise CorruptBackup(
            f"{file} is damaged: its SHA-256 is not the one in its manifest. Use another backup. {_LIST_HINT}"
        )
