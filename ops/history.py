"""What happened to the database since some time: migrations, runs, the backup before them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q
from redis import RedisError

from ops.backups.listing import latest_backup
from ops.models import Backup, Run
from ops.operations import registry
from ops.operations.verification import count_violations
from ops.queue.liveness import count_live_workers


@dataclass(frozen=True)
class AppliedMigration:
    """A migration and when it was applied."""

    name: str
    at: datetime


@dataclass(frozen=True)
class History:
    """``backup`` is the newest from before it began; see ``checks.found_by_checks`` for ``checks``.

    ``counts`` are rows by table, of the models that operations change.
    """

    since: datetime
    began: datetime | None
    ended: datetime | None
    migrations: list[AppliedMigration]
    runs: list[Run]
    counts: dict[str, int]
    backup: Backup | None
    checks: dict[str, int | None]
    workers: str

    @property
    def people(self) -> list[str]:
        """Who asked for the runs."""
        return sorted({run.performed_by for run in self.runs})


def read_history(since: datetime) -> History:
    """Read from the database, and from the records beside the backups."""
    migrations = _read_migrations(since)
    runs = list(Run.objects.filter(Q(created_at__gte=since) | Q(finished_at__gte=since)).order_by("pk"))
    times = [m.at for m in migrations] + [
        at for run in runs for at in (run.created_at, run.finished_at) if at
    ]
    began = min(times, default=None)
    return History(
        since,
        began=began,
        ended=max(times, default=None),
        migrations=migrations,
        runs=runs,
        counts={
            model._meta.db_table: model._base_manager.count() for model in registry.list_operation_models()
        },
        backup=latest_backup(began),
        checks=count_violations(),
        workers=_worker_summary(),
    )


def _read_migrations(since: datetime) -> list[AppliedMigration]:
    rows = MigrationRecorder(connection).migration_qs.filter(applied__gte=since).order_by("applied", "pk")
    return [AppliedMigration(f"{row.app}.{row.name}", row.applied) for row in rows]


def _worker_summary() -> str:
    try:
        return f"{count_live_workers()} alive"
    except RedisError as exc:
        return f"not known, since Redis is unavailable: {exc}"
