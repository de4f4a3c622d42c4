"""List the backups, from their manifests and from the database."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError

from ops.backups import manifest
from ops.backups.errors import InvalidBackupFile
from ops.models import Backup
from ops.session import database_name


def list_backups() -> list[Backup]:
    """List those in BACKUP_DIR by their manifests, and others by the database; the newest first.

    If the database is away, only the manifests are read.
    """
    backups = {backup.path: backup for backup in _registered_backups()}
    for file in Path(settings.BACKUP_DIR).glob("*"):
        if file.name.endswith(manifest.BACKUP_SUFFIXES):
            with suppress(InvalidBackupFile):
                backups[str(file.absolute())] = manifest.read_manifest(file)
    return sorted(backups.values(), key=lambda backup: backup.started_at, reverse=True)


def latest_backup(before: datetime | None = None, *, verified: bool = False) -> Backup | None:
    """Return the newest backup of this database, or the newest that was started before a time.

    With ``verified``, of the verified ones whose file exists.
    """
    backups = [backup for backup in list_backups() if backup.database == database_name()]
    if verified:
        backups = [backup for backup in backups if backup.verified_at and backup.file.exists()]
    return next((backup for backup in backups if before is None or backup.started_at <= before), None)


def _registered_backups() -> list[Backup]:
    try:
        return list(Backup.objects.all())
    except DatabaseError:
        return []
