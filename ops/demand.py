"""The demand for a fresh, verified backup before a run is executed; the setting OPS_BACKUP_MAX_AGE."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from ops import words
from ops.exceptions import OpsError
from ops.models import Backup
from ops.session import database_name
from ops.typed import manage

_MAKE_ONE = (
    f"Make one: {manage('backup_db', '--verify')}. Or go without, which the run tells ever after: --no-backup"
)


class NoBackup(OpsError):
    """There is no verified backup as fresh as the settings demand."""


def newest_verified() -> Backup | None:
    """Of this database: a copy of another one knows of that one's backups too."""
    ours = Backup.objects.filter(database=database_name(), verified_at__isnull=False)
    return ours.order_by("started_at").last()


def overridden(without_backup: bool) -> bool:
    """Whether a run starts although the demand is not met. Raises NoBackup where it may not."""
    limit: timedelta | None = settings.OPS_BACKUP_MAX_AGE
    if limit is None:
        return False
    newest = newest_verified()
    if newest and newest.started_at >= timezone.now() - limit:
        return False
    if without_backup:
        return True
    age = (
        f"the newest is {words.duration(timezone.now() - newest.started_at)} old"
        if newest
        else "there is none"
    )
    raise NoBackup(
        f"A verified backup not older than {words.duration(limit)} is demanded here (OPS_BACKUP_MAX_AGE),"
        f" and {age}. {_MAKE_ONE}"
    )
