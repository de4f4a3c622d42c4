"""What happened to the database since some time: migrations, runs, the backup before them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model, Q
from redis import RedisError

from ops import registry
from ops.backups.catalogue import newest
from ops.checks import found_by_checks
from ops.models import Backup, Run
from ops.queue.presence import workers_alive


@dataclass(frozen=True)
class Applied:
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
    migrations: list[Applied]
    runs: list[Run]
    counts: dict[str, int]
    backup: Backup | None
    checks: dict[str, int | None]
    workers: str

    @property
    def people(self) -> list[str]:
        """Who asked for the runs."""
        return sorted({run.performed_by for run in self.runs})


def history(since: datetime) -> History:
    """Read from the database, and from the records beside the backups."""
    migrations = _migrations(since)
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
        counts={model._meta.db_table: model._base_manager.count() for model in _models()},
        backup=newest(began),
        checks=found_by_checks(),
        workers=_workers(),
    )


def _migrations(since: datetime) -> list[Applied]:
    rows = MigrationRecorder(connection).migration_qs.filter(applied__gte=since).order_by("applied", "pk")
    return [Applied(f"{row.app}.{row.name}", row.applied) for row in rows]


def _models() -> list[type[Model]]:
    """The models that an operation is declared for."""
    wanted = {
        operation.model._meta.label
        for operation in registry.all_operations()
        if operation.example is not None
    }
    return [apps.get_model(label) for label in sorted(wanted)]


def _workers() -> str:
    try:
        return f"{workers_alive()} alive"
    except RedisError as exc:
        return f"not known, since Redis is away: {exc}"
