"""The demand for a fresh, verified backup before a run is executed; the setting OPS_BACKUP_MAX_AGE."""

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
    " Or go without, which the run tells ever after: --no-backup"
)


class BackupRequired(OpsError):
    """There is no verified backup as fresh as the settings demand."""


def find_newest_verified_backup() -> Backup | None:
    """Of this database: a copy of another one knows of that one's backups too."""
    ours = Backup.objects.filter(database=database_name(), verified_at__isnull=False)
    return ours.order_by("started_at").last()


def require_backup(without_backup: bool) -> bool:
    """Whether a run starts although the demand is not met. Raises NoBackup where it may not."""
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
        f"A verified backup not older than {format_duration(limit)} is demanded here (OPS_BACKUP_MAX_AGE),"
        f" and {age}. {_BACKUP_HINT}"
    )
