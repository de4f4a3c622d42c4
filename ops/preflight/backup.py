"""Checks of the newest backup, and the rehearsal of the migrations on a copy restored from it."""

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
from ops.backups.scratch import scratch_database, temporary_alias
from ops.backups.server import Server
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import first_line, format_duration, format_elapsed, format_size
from ops.migration_status import migration_label
from ops.models import Backup
from ops.operations.verification import count_violations
from ops.preflight.finding import Finding, PreflightContext, Severity
from ops.session import SessionRequired

_DEFAULT_MAX_AGE = timedelta(hours=24)  # if BACKUP_MAX_AGE_HOURS is 0
_BACKUP_COMMAND = (manage_command("backup_db", "--verify"),)


def check_backup(context: PreflightContext) -> Finding:
    backup = latest_backup()
    if backup is None:
        return Finding(Severity.RED, "There is no backup.", todo=_BACKUP_COMMAND)
    age = timezone.now() - backup.started_at
    summary = _summarize(backup)
    if not backup.file.exists():
        return Finding(Severity.RED, f"{summary}, was moved or deleted: {backup.path}", todo=_BACKUP_COMMAND)
    if backup.verified_at is None:
        message = f"{summary}, was never verified."
        return Finding(Severity.RED, message, _describe_verified_backup(), _BACKUP_COMMAND)
    if age > (settings.OPS_BACKUP_MAX_AGE or _DEFAULT_MAX_AGE):
        return Finding(Severity.RED, f"{summary}: later changes would be lost.", todo=_BACKUP_COMMAND)
    return Finding(Severity.GREEN, f"{summary}, verified.")


def _summarize(backup: Backup) -> str:
    age = timezone.now() - backup.started_at
    return f"{backup.file.name}, {format_size(backup.size)}, {format_duration(age)} old"


def _describe_verified_backup() -> tuple[str, ...]:
    """Name the newest verified backup whose file exists, if there is one."""
    backup = latest_backup(verified=True)
    return (f"The newest verified backup: {_summarize(backup)}.",) if backup else ()


def check_rehearsal(context: PreflightContext) -> Finding:
    """Restore the newest backup into a scratch database, migrate it and run the checks of the operations."""
    if not context.rehearse:
        if not context.has_unapplied_migrations:
            return Finding(Severity.GREEN, "There is no migration to rehearse.")
        return Finding(
            Severity.YELLOW,
            "The migrations were not tried on a copy.",
            todo=(manage_command("preflight", "--rehearse"),),
        )
    backup = latest_backup()
    if backup is None:
        return Finding(Severity.RED, "There is no backup to rehearse on.", todo=_BACKUP_COMMAND)
    try:
        return _rehearse_on(backup)
    except SessionRequired as exc:
        first, *rest = str(exc).splitlines()
        return Finding(Severity.RED, first, todo=tuple(rest))
    except OpsError as exc:
        first, *rest = str(exc).splitlines()
        needs_new_backup = isinstance(exc, (InvalidBackupFile, CorruptBackup))
        return Finding(Severity.RED, first, tuple(rest), _BACKUP_COMMAND if needs_new_backup else ())


def _rehearse_on(backup: Backup) -> Finding:
    stopwatch = _Stopwatch()
    manifest.verify_file(backup.file)
    server = Server.default()
    with scratch_database("rehearsal") as name:
        restore_into(name, backup, server)
        stopwatch.record_lap(f"restored {backup.file.name}")
        with temporary_alias(name, server.read_search_path()) as alias:
            check_search_path(backup, alias, server.database)
            try:
                _migrate(alias, stopwatch.record_lap)
            except Exception as exc:  # a migration may raise anything
                message = f"A migration fails: {type(exc).__name__}: {first_line(exc)}"
                return Finding(
                    Severity.RED, message, tuple(stopwatch.laps), ("Fix it, then rehearse again.",)
                )
            try:
                violations = count_violations(alias)
            except DatabaseError as exc:  # such as a statement_timeout of our role
                message = f"Migrated, but the checks cannot run: {first_line(exc)}"
                return Finding(Severity.RED, message, tuple(stopwatch.laps))
            stopwatch.record_lap("ran the checks")
    rows = [f"{label}: {count:,}" for label, count in violations.items() if count]
    message = f"A copy was restored, migrated and checked in {format_elapsed(stopwatch.total)}."
    return Finding(Severity.YELLOW if rows else Severity.GREEN, message, (*stopwatch.laps, *rows))


def _migrate(alias: str, record_lap: Callable[[str], None]) -> None:
    def report_progress(action: str, migration: Migration | None = None, fake: bool | None = None) -> None:
        if migration and action == "apply_success":
            record_lap(f"applied {migration_label(migration)}")

    executor = MigrationExecutor(connections[alias], report_progress)
    executor.migrate(executor.loader.graph.leaf_nodes())


class _Stopwatch:
    """Records how long each step took, as text."""

    def __init__(self) -> None:
        self.started_at = self.last_lap_at = monotonic()
        self.laps: list[str] = []

    def record_lap(self, step: str) -> None:
        now = monotonic()
        self.laps.append(f"{step} in {format_elapsed(timedelta(seconds=now - self.last_lap_at))}")
        self.last_lap_at = now

    @property
    def total(self) -> timedelta:
        return timedelta(seconds=self.last_lap_at - self.started_at)
