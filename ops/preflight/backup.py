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

from ops.backups import manifest
from ops.backups.errors import CorruptBackup, InvalidBackupFile
from ops.backups.listing import latest_backup
from ops.backups.load import check_search_path, restore_into
from ops.backups.scratch import temporary_alias
from ops.backups.server import Server
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import format_duration, format_size
from ops.migration_status import migration_label
from ops.models import Backup
from ops.operations.verification import count_violations
from ops.preflight.finding import Finding, PreflightContext, Severity
from ops.schema.scratch import scratch_database
from ops.session import SessionRequired

_DEFAULT_MAX_AGE = timedelta(hours=24)  # where the settings demand nothing
_BACKUP_COMMAND = (manage_command("backup_db", "--verify"),)


def check_backup(context: PreflightContext) -> Finding:
    last = latest_backup()
    if last is None:
        return Finding(Severity.RED, "There is no backup.", todo=_BACKUP_COMMAND)
    age = timezone.now() - last.started_at
    told = f"{last.file.name}, {format_size(last.size)}, {format_duration(age)} old"
    if not last.file.exists():
        return Finding(Severity.RED, f"{told}, is not where it was: {last.path}", todo=_BACKUP_COMMAND)
    if last.verified_at is None:
        return Finding(Severity.RED, f"{told}, was never verified.", todo=_BACKUP_COMMAND)
    if age > (settings.OPS_BACKUP_MAX_AGE or _DEFAULT_MAX_AGE):
        return Finding(Severity.RED, f"{told}: what was changed since would be lost.", todo=_BACKUP_COMMAND)
    return Finding(Severity.GREEN, f"{told}, verified.")


def check_rehearsal(context: PreflightContext) -> Finding:
    """The guide's staging: the migrations and the checks on a copy restored from the newest backup."""
    if not context.rehearse:
        if not context.has_unapplied_migrations:
            return Finding(Severity.GREEN, "There is no migration to rehearse.")
        return Finding(
            Severity.YELLOW,
            "The migrations were not tried on a copy.",
            todo=(manage_command("preflight", "--rehearse"),),
        )
    last = latest_backup()
    if last is None:
        return Finding(Severity.RED, "There is no backup to rehearse on.", todo=_BACKUP_COMMAND)
    try:
        return _rehearse_on(last)
    except SessionRequired as exc:
        first, *rest = str(exc).splitlines()
        return Finding(Severity.RED, first, todo=tuple(rest))
    except OpsError as exc:
        first, *rest = str(exc).splitlines()
        another = isinstance(exc, (InvalidBackupFile, CorruptBackup))  # else that would help no more
        return Finding(Severity.RED, first, tuple(rest), _BACKUP_COMMAND if another else ())


def _rehearse_on(backup: Backup) -> Finding:
    clock = _Stopwatch()
    manifest.verify_file(backup.file)
    server = Server.default()
    with scratch_database("rehearsal") as name:
        restore_into(name, backup, server)
        clock.lap(f"restored {backup.file.name}")
        with temporary_alias(name, server.read_search_path()) as alias:
            check_search_path(backup, alias, server.database)
            try:
                _migrate(alias, clock.lap)
            except Exception as exc:  # whatever a migration may raise
                told = f"A migration fails: {type(exc).__name__}: {str(exc).splitlines()[0]}"
                return Finding(Severity.RED, told, tuple(clock.laps), ("Mend it, and rehearse again.",))
            try:
                found = count_violations(alias)
            except DatabaseError as exc:  # as where it takes longer than our role may take
                told = f"Migrated, but the checks cannot be asked: {str(exc).splitlines()[0]}"
                return Finding(Severity.RED, told, tuple(clock.laps))
            clock.lap("asked the checks")
    rows = [f"{label}: {count:,}" for label, count in found.items() if count]
    told = f"A copy was restored, migrated and checked in {format_duration(clock.total)}."
    return Finding(Severity.YELLOW if rows else Severity.GREEN, told, (*clock.laps, *rows))


def _migrate(alias: str, lap: Callable[[str], None]) -> None:
    def heard(action: str, migration: Migration | None = None, fake: bool | None = None) -> None:
        if migration and action == "apply_success":
            lap(f"applied {migration_label(migration)}")

    executor = MigrationExecutor(connections[alias], heard)
    executor.migrate(executor.loader.graph.leaf_nodes())


class _Stopwatch:
    """How long each step took, in words."""

    def __init__(self) -> None:
        self.began = self.last = monotonic()
        self.laps: list[str] = []

    def lap(self, step: str) -> None:
        now = monotonic()
        self.laps.append(f"{step} in {format_duration(timedelta(seconds=now - self.last))}")
        self.last = now

    @property
    def total(self) -> timedelta:
        return timedelta(seconds=self.last - self.began)
