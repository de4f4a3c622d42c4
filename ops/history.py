"""What happened to the database since some time: migrations, runs, the backup before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model, Q
from redis import RedisError

from ops import registry
from ops.checks import found_by_checks
from ops.models import Run
from ops.queue.presence import workers_alive


@dataclass(frozen=True)
class Applied:
    """A migration and when it was applied."""

    name: str
    at: datetime


@dataclass(frozen=True)
class History:
    """``counts`` are rows by table, of the models that operations change; see ``checks.found_by_checks``."""

    since: datetime
    migrations: list[Applied]
    runs: list[Run]
    counts: dict[str, int]
    checks: dict[str, int | None]
    workers: str

    @property
    def began(self) -> datetime | None:
        return min((at for at, _ in self._times()), default=None)

    @property
    def ended(self) -> datetime | None:
        return max((at for _, at in self._times()), default=None)

    @property
    def people(self) -> list[str]:
        """Who asked for the runs."""
        return sorted({run.performed_by for run in self.runs})

    def _times(self) -> Iterator[tuple[datetime, datetime]]:
        for migration in self.migrations:
            yield migration.at, migration.at
        for run in self.runs:
            yield run.created_at, run.finished_at or run.created_at


def history(since: datetime) -> History:
    """Read from the database alone."""
    return History(
        since,
        _migrations(since),
        list(Run.objects.filter(Q(created_at__gte=since) | Q(finished_at__gte=since)).order_by("pk")),
        {model._meta.db_table: model._base_manager.count() for model in _models()},
        found_by_checks(),
        _workers(),
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
