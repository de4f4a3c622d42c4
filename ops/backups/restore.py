"""Restoring: into a new database, which takes the place of the live one once it is known to be whole."""

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

# Nobody goes on with them by himself.
_STATES_TO_PAUSE = (State.QUEUED, State.RUNNING, State.PAUSING)


@dataclass
class RestoreResult:
    """What a restore did. ``old`` is what the database is called that was live before.

    ``refused`` are statements that would make the new one wholly like it, and that our role may not execute.
    """

    backup: Backup
    database: str
    dropped_orphans: list[str]
    paused: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    unapplied_count: int = 0
    refused_statements: list[str] = field(default_factory=list)
    previous_database: str | None = None


def require_confirmation(doing: str, server: Server, database: str | None, words: Sequence[str]) -> None:
    """Raises NotConfirmed, which tells what to type, unless the live database was named."""
    if database != server.database:
        typed = f"{database} is not the database of these settings. " if database else ""
        raise ConfirmationRequired(
            f"{typed}This would {doing} the database {server.database} on {server.address}."
            f" To do it: {manage_command('restore_db', *words, '--confirm', server.database)}"
        )


def restore_backup(file: Path, server: Server, say: Callable[[str], None]) -> RestoreResult:
    """Put the backup in the place of the live database, or change nothing.

    Raises BadFile, Damaged, NoProgram, InUse, Failed.
    """
    say(f"Checking {file}")
    done = RestoreResult(manifest.verify_file(file), server.database, drop_orphaned_databases(server))
    live, remembered = swap.has_live_database(server), done.backup.properties
    if live:
        swap.refuse_active_runs(server)
    path = server.read_search_path() if live else (remembered or {}).get("search_path")
    with temporary_database(server, "restore", remembered) as new:
        say(f"Restoring {done.backup.rows:,} rows into {new}")
        unmade = restore_into(new, done.backup, server)
        say(f"Preparing {new}")
        _prepare_database(new, path, done)
        connections.close_all()
        with stop_event():  # a Ctrl-C comes too late
            if live:
                done.previous_database, done.refused_statements = swap.swap(server, new)
            else:
                done.refused_statements = swap.rename_into_place(server, new, remembered)
    done.refused_statements += unmade
    return done


def _prepare_database(new: str, search_path: str | None, done: RestoreResult) -> None:
    with temporary_alias(new, search_path, **NO_TIMEOUTS) as alias:
        check_search_path(done.backup, alias, done.database)
        with connections[alias].cursor() as cursor:
            cursor.execute("ANALYZE")
            tables = connections[alias].introspection.table_names(cursor)
        if Run._meta.db_table in tables:
            done.paused, done.cancelled = _halt_runs(alias)
        done.unapplied_count = count_unapplied(connections[alias])
        _register_backup(alias, done.backup)


def _halt_runs(alias: str) -> tuple[list[int], list[int]]:
    """What was under way then is paused, until somebody says otherwise; a cancel is completed."""
    # Not by `runs.move`: it speaks for the live database and for processes that halt after their batch, while
    # here nobody works; and it writes columns that an old backup lacks.
    paused = _set_run_state(alias, _STATES_TO_PAUSE, state=State.PAUSED)
    cancelled = _set_run_state(alias, (State.CANCELLING,), state=State.CANCELLED, finished_at=Now())
    Claim.objects.using(alias).filter(run__in=cancelled).delete()
    return paused, cancelled


def _set_run_state(alias: str, origins: Iterable[State], **changes: Any) -> list[int]:
    runs = Run.objects.using(alias).filter(state__in=origins)
    numbers = sorted(runs.values_list("pk", flat=True))
    runs.update(**changes)
    return numbers


def _register_backup(alias: str, backup: Backup) -> None:
    """The restored database knows of the backup it came from, which is hereby verified."""
    backup.verified_at = timezone.now()
    with suppress(OSError):  # as where the file lies on a medium that cannot be written
        manifest.write_manifest(backup)
    try:
        with transaction.atomic(using=alias):
            backup.save(using=alias)
    except DatabaseError:
        pass  # It was made before there was such a table.
