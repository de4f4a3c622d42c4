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

from ops.backups import record, swap
from ops.backups.errors import NotConfirmed
from ops.backups.load import check_in_sight, fill
from ops.backups.scratch import UNHURRIED, clear_left, connected, scratch
from ops.backups.server import Server
from ops.interrupts import stop_event
from ops.models import Backup, Claim, Run
from ops.standing import count_unapplied
from ops.states import State
from ops.typed import manage

# Nobody goes on with them by himself.
_PAUSED = (State.QUEUED, State.RUNNING, State.PAUSING)


@dataclass
class Restored:
    """What a restore did. ``old`` is what the database is called that was live before.

    ``refused`` are statements that would make the new one wholly like it, and that our role may not execute.
    """

    backup: Backup
    database: str
    left: list[str]
    paused: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    unapplied: int = 0
    refused: list[str] = field(default_factory=list)
    old: str | None = None


def confirm(doing: str, server: Server, database: str | None, words: Sequence[str]) -> None:
    """Raises NotConfirmed, which tells what to type, unless the live database was named."""
    if database != server.database:
        typed = f"{database} is not the database of these settings. " if database else ""
        raise NotConfirmed(
            f"{typed}This would {doing} the database {server.database} on {server.address}."
            f" To do it: {manage('restore_db', *words, '--confirm', server.database)}"
        )


def restore(file: Path, server: Server, say: Callable[[str], None]) -> Restored:
    """Put the backup in the place of the live database, or change nothing.

    Raises BadFile, Damaged, NoProgram, InUse, Failed.
    """
    say(f"Checking {file}")
    done = Restored(record.check(file), server.database, clear_left(server))
    live, remembered = swap.exists(server), done.backup.properties
    if live:
        swap.refuse_active_runs(server)
    path = server.search_path() if live else (remembered or {}).get("search_path")
    with scratch(server, "restore", remembered) as new:
        say(f"Restoring {done.backup.rows:,} rows into {new}")
        unmade = fill(new, done.backup, server)
        say(f"Preparing {new}")
        _prepare(new, path, done)
        connections.close_all()
        with stop_event():  # a Ctrl-C comes too late
            if live:
                done.old, done.refused = swap.swap(server, new)
            else:
                done.refused = swap.put_in_place(server, new, remembered)
    done.refused += unmade
    return done


def _prepare(new: str, search_path: str | None, done: Restored) -> None:
    with connected(new, search_path, **UNHURRIED) as alias:
        check_in_sight(done.backup, alias, done.database)
        with connections[alias].cursor() as cursor:
            cursor.execute("ANALYZE")
            tables = connections[alias].introspection.table_names(cursor)
        if Run._meta.db_table in tables:
            done.paused, done.cancelled = _halt_runs(alias)
        done.unapplied = count_unapplied(connections[alias])
        _adopt(alias, done.backup)


def _halt_runs(alias: str) -> tuple[list[int], list[int]]:
    """What was under way then is paused, until somebody says otherwise; a cancel is completed."""
    # Not by `runs.move`: it speaks for the live database and for processes that halt after their batch, while
    # here nobody works; and it writes columns that an old backup lacks.
    paused = _moved(alias, _PAUSED, state=State.PAUSED)
    cancelled = _moved(alias, (State.CANCELLING,), state=State.CANCELLED, finished_at=Now())
    Claim.objects.using(alias).filter(run__in=cancelled).delete()
    return paused, cancelled


def _moved(alias: str, origins: Iterable[State], **changes: Any) -> list[int]:
    runs = Run.objects.using(alias).filter(state__in=origins)
    numbers = sorted(runs.values_list("pk", flat=True))
    runs.update(**changes)
    return numbers


def _adopt(alias: str, backup: Backup) -> None:
    """The restored database knows of the backup it came from, which is hereby verified."""
    backup.verified_at = timezone.now()
    with suppress(OSError):  # as where the file lies on a medium that cannot be written
        record.write(backup)
    try:
        with transaction.atomic(using=alias):
            backup.save(using=alias)
    except DatabaseError:
        pass  # It was made before there was such a table.
