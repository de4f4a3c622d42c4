"""The backup to go back to, and the rehearsal on a copy that is restored from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, connections
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from ops import words
from ops.backups import record
from ops.backups.catalogue import newest
from ops.backups.errors import BadFile, Damaged
from ops.backups.load import check_in_sight, fill
from ops.backups.scratch import connected
from ops.backups.server import Server
from ops.checks import found_by_checks
from ops.exceptions import OpsError
from ops.models import Backup
from ops.preflight.finding import Finding, Light, Situation
from ops.schema.scratch import scratch_database
from ops.session import NeedsSession
from ops.standing import name_of
from ops.typed import manage

_FRESH = timedelta(hours=24)  # where the settings demand nothing
_MAKE_ONE = (manage("backup_db", "--verify"),)


def fresh_backup(situation: Situation) -> Finding:
    last = newest()
    if last is None:
        return Finding(Light.RED, "There is no backup.", todo=_MAKE_ONE)
    age = timezone.now() - last.started_at
    told = f"{last.file.name}, {words.size(last.size)}, {words.duration(age)} old"
    if not last.file.exists():
        return Finding(Light.RED, f"{told}, is not where it was: {last.path}", todo=_MAKE_ONE)
    if last.verified_at is None:
        return Finding(Light.RED, f"{told}, was never verified.", todo=_MAKE_ONE)
    if age > (settings.OPS_BACKUP_MAX_AGE or _FRESH):
        return Finding(Light.RED, f"{told}: what was changed since would be lost.", todo=_MAKE_ONE)
    return Finding(Light.GREEN, f"{told}, verified.")


def rehearsal(situation: Situation) -> Finding:
    """The guide's staging: the migrations and the checks on a copy restored from the newest backup."""
    if not situation.rehearse:
        if not situation.migrates:
            return Finding(Light.GREEN, "There is no migration to rehearse.")
        return Finding(
            Light.YELLOW,
            "The migrations were not tried on a copy.",
            todo=(manage("preflight", "--rehearse"),),
        )
    last = newest()
    if last is None:
        return Finding(Light.RED, "There is no backup to rehearse on.", todo=_MAKE_ONE)
    try:
        return _rehearsed(last)
    except NeedsSession as exc:
        first, *rest = str(exc).splitlines()
        return Finding(Light.RED, first, todo=tuple(rest))
    except OpsError as exc:
        first, *rest = str(exc).splitlines()
        another = isinstance(exc, (BadFile, Damaged))  # else that would help no more
        return Finding(Light.RED, first, tuple(rest), _MAKE_ONE if another else ())


def _rehearsed(backup: Backup) -> Finding:
    clock = _Clock()
    record.check(backup.file)
    server = Server.default()
    with scratch_database("rehearsal") as name:
        fill(name, backup, server)
        clock.lap(f"restored {backup.file.name}")
        with connected(name, server.search_path()) as alias:
            check_in_sight(backup, alias, server.database)
            try:
                _migrate(alias, clock.lap)
            except Exception as exc:  # whatever a migration may raise
                told = f"A migration fails: {type(exc).__name__}: {str(exc).splitlines()[0]}"
                return Finding(Light.RED, told, tuple(clock.laps), ("Mend it, and rehearse again.",))
            try:
                found = found_by_checks(alias)
            except DatabaseError as exc:  # as where it takes longer than our role may take
                told = f"Migrated, but the checks cannot be asked: {str(exc).splitlines()[0]}"
                return Finding(Light.RED, told, tuple(clock.laps))
            clock.lap("asked the checks")
    rows = [f"{label}: {count:,}" for label, count in found.items() if count]
    told = f"A copy was restored, migrated and checked in {words.duration(clock.total)}."
    return Finding(Light.YELLOW if rows else Light.GREEN, told, (*clock.laps, *rows))


def _migrate(alias: str, lap: Callable[[str], None]) -> None:
    def heard(action: str, migration: Migration | None = None, fake: bool | None = None) -> None:
        if migration and action == "apply_success":
            lap(f"applied {name_of(migration)}")

    executor = MigrationExecutor(connections[alias], heard)
    executor.migrate(executor.loader.graph.leaf_nodes())


class _Clock:
    """How long each step took, in words."""

    def __init__(self) -> None:
        self.began = self.last = monotonic()
        self.laps: list[str] = []

    def lap(self, step: str) -> None:
        now = monotonic()
        self.laps.append(f"{step} in {words.duration(timedelta(seconds=now - self.last))}")
        self.last = now

    @property
    def total(self) -> timedelta:
        return timedelta(seconds=self.last - self.began)
