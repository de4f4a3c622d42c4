"""Require a recent verified backup before a run, if the setting OPS_BACKUP_MAX_AGE says so."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import format_duration
from ops.models import Backup
from ops.session import database_name

_BACKUP_HINT = (
    f"Make one: {manage_command('backup_db', '--verify')}."
    " To start without one, which the run records: --no-backup"
)


class BackupRequired(OpsError):
    """There is no verified backup as recent as OPS_BACKUP_MAX_AGE requires."""


def find_newest_verified_backup() -> Backup | None:
    """Return the newest verified backup of this database; a copied database also lists its original's."""
    backups = Backup.objects.filter(database=database_name(), verified_at__isnull=False)
    return backups.order_by("started_at").last()


def require_backup(without_backup: bool) -> bool:
    """Return whether the run starts without a required backup. Raises BackupRequired if it may not."""
    limit: timedelta | None = settings.OPS_BACKUP_MAX_AGE
    if limit is None:
        return False
    newest = find_newest_verified_backup()
    if newest and newest.started_at >= timezone.now() - limit:
        return False
    if without_backup:
        return True
    age = (
        f"the newest is {format_duration(timezone.now() - newest.started_at)} old"
        if newest
        else "there is none"
    )
    raise BackupRequired(
        f"A verified backup not older than {format_duration(limit)} is required (OPS_BACKUP_MAX_AGE),"
        f" but {age}.",
        _BACKUP_HINT,
    )
