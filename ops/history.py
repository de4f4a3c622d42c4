"""Read the migrations and runs since a time, and the backup before them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q
from redis import RedisError

from ops.backups.listing import latest_backup
from ops.models import Backup, ColumnChangeEvent, Run
from ops.operations import registry
from ops.operations.verification import count_violations
from ops.queue.liveness import count_live_workers


@dataclass(frozen=True)
class AppliedMigration:
    """A migration and when it was applied."""

    name: str
    applied_at: datetime


@dataclass(frozen=True)
class History:
    """The history since a time; ``backup`` is the newest one from before ``started_at``.

    ``steps`` are those of column changes that were taken, or taken back. ``counts`` are the rows by table, of
    the models that operations change. ``checks`` are those of ``count_violations``.
    """

    since: datetime
    started_at: datetime | None
    finished_at: datetime | None
    migrations: list[AppliedMigration]
    runs: list[Run]
    steps: list[ColumnChangeEvent]
    counts: dict[str, int]
    backup: Backup | None
    checks: dict[str, int | None]
    workers: str

    @property
    def performers(self) -> list[str]:
        """The users who started the runs and took the steps."""
        runs = {run.performed_by for run in self.runs}
        return sorted(runs | {step.performed_by for step in self.steps})


def read_history(since: datetime) -> History:
    """Read from the database and from the manifests next to the backups."""
    migrations = _read_migrations(since)
    runs = list(Run.objects.filter(Q(created_at__gte=since) | Q(finished_at__gte=since)).order_by("pk"))
    steps = list(ColumnChangeEvent.objects.filter(created_at__gte=since).order_by("pk"))
    times = [
        *(m.applied_at for m in migrations),
        *(at for run in runs for at in (run.created_at, run.finished_at) if at),
        *(step.created_at for step in steps),
    ]
    started_at = min(times, default=None)
    return History(
        since,
        started_at=started_at,
        finished_at=max(times, default=None),
        migrations=migrations,
        runs=runs,
        steps=steps,
        counts={
            model._meta.db_table: model._base_manager.count() for model in registry.list_operation_models()
        },
        backup=latest_backup(started_at),
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
