"""Restore a backup into a new database, check it, and let it replace the live one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.models.functions import Now
from django.utils import timezone

from ops.backups import manifest, swap
from ops.backups.errors import ConfirmationRequired
from ops.backups.load import check_search_path, restore_into
from ops.backups.scratch import NO_TIMEOUTS, drop_orphaned_databases, temporary_alias, temporary_database
from ops.backups.server import Server
from ops.command_lines import manage_command
from ops.interrupts import stop_event
from ops.migration_status import count_unapplied
from ops.models import Backup, Claim, Run
from ops.states import State

# Active in the backup; a person decides whether they go on.
_STATES_TO_PAUSE = (State.QUEUED, State.RUNNING, State.PAUSING)


@dataclass
class RestoreResult:
    """What a restore did. ``previous_database`` is the new name of the replaced database.

    ``refused_statements`` would restore the other properties, but our role may not execute them. ``paused``
    and ``cancelled`` are keys of runs.
    """

    backup: Backup
    database: str
    dropped_orphans: list[str]
    paused: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    unapplied_count: int = 0
    refused_statements: list[str] = field(default_factory=list)
    previous_database: str | None = None


def require_confirmation(effect: str, server: Server, database: str | None, arguments: Sequence[str]) -> None:
    """Raise ConfirmationRequired, with the command to type, unless ``database`` is the live one."""
    if database != server.database:
        mismatch = f"{database} is not the database of DATABASE_URL. " if database else ""
        raise ConfirmationRequired(
            f"{mismatch}This would {effect}."
            f" To do it: {manage_command('restore_db', *arguments, '--confirm', server.database)}"
        )


def restore_backup(file: Path, server: Server, report_status: Callable[[str], None]) -> RestoreResult:
    """Replace the live database with the backup, or change nothing.

    Raises InvalidBackupFile, CorruptBackup, ClientToolNotFound, DatabaseInUse, MaintenanceFailed.
    """
    report_status(f"Checking {file}")
    result = RestoreResult(manifest.verify_file(file), server.database, drop_orphaned_databases(server))
    live, manifest_properties = swap.has_live_database(server), result.backup.properties
    if live:
        swap.refuse_active_runs(server)
    path = server.read_search_path() if live else (manifest_properties or {}).get("search_path")
    with temporary_database(server, "restore", manifest_properties) as new:
        report_status(f"Restoring {result.backup.rows:,} rows into {new}")
        statements = restore_into(new, result.backup, server)
        report_status(f"Preparing {new}")
        _prepare_database(new, path, result)
        connections.close_all()
        with stop_event():  # Ctrl-C comes too late
            if live:
                result.previous_database, result.refused_statements = swap.swap(server, new)
            else:
                result.refused_statements = swap.rename_into_place(server, new, manifest_properties)
    result.refused_statements += statements
    return result


def _prepare_database(new: str, search_path: str | None, result: RestoreResult) -> None:
    with temporary_alias(new, search_path, **NO_TIMEOUTS) as alias:
        check_search_path(result.backup, alias, result.database)
        with connections[alias].cursor() as cursor:
            cursor.execute("ANALYZE")
            tables = connections[alias].introspection.table_names(cursor)
        if Run._meta.db_table in tables:
            result.paused, result.cancelled = _halt_runs(alias)
        result.unapplied_count = count_unapplied(connections[alias])
        _register_backup(alias, result.backup)


def _halt_runs(alias: str) -> tuple[list[int], list[int]]:
    """Pause the runs that were active in the backup; complete the cancels. Returns their keys."""
    # Not by `ops.runs.lifecycle`: that works on the live database and waits for processes to finish their
    # batch, while here no process works on the runs; and it writes columns that an old backup lacks.
    paused = _set_run_state(alias, _STATES_TO_PAUSE, state=State.PAUSED)
    cancelled = _set_run_state(alias, (State.CANCELLING,), state=State.CANCELLED, finished_at=Now())
    Claim.objects.using(alias).filter(run__in=cancelled).delete()
    return paused, cancelled


def _set_run_state(alias: str, source_states: Iterable[State], **changes: Any) -> list[int]:
    runs = Run.objects.using(alias).filter(state__in=source_states)
    keys = sorted(runs.values_list("pk", flat=True))
    runs.update(**changes)
    return keys


def _register_backup(alias: str, backup: Backup) -> None:
    """Record the backup in the restored database; the restore has verified it."""
    backup.verified_at = timezone.now()
    with suppress(OSError):  # such as on a read-only medium
        manifest.write_manifest(backup)
    try:
        with transaction.atomic(using=alias):
            backup.save(using=alias)
    except DatabaseError:
        pass  # the backup is older than this table
