"""The gates of a column change: what must hold before a step.

They read the log of the change, and never its declaration, which a migration outlives. The time is the
database's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Max

from ops.backups.listing import latest_backup
from ops.column_changes import position
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import escape_control_chars, format_duration, format_time
from ops.models import ColumnChangeEvent, ColumnWriter, Run
from ops.sql.query import fetch_all
from ops.states import State

Events = dict[Step, ColumnChangeEvent]

_MAX_WRITERS = 5


class GateClosed(OpsError):
    """A step may not be taken yet. Nothing is wrong: a deploy stops before it, and goes on later."""

    exit_status = 3


def require_open(
    change: str,
    step: Step,
    wait: timedelta = timedelta(),
    *,
    swap: bool = False,
    after: Step | None = None,
) -> None:
    """Raise GateClosed, which says what is missing and what to type, unless the step may be taken."""
    if missing := find_missing(change, step, wait, swap=swap, after=after):
        raise GateClosed(
            f"{change}: the step {step} has to wait. {' '.join(missing)}",
            f"To see where it stands: {manage_command('column_change', change)}",
        )


def find_missing(
    change: str,
    step: Step,
    wait: timedelta = timedelta(),
    *,
    swap: bool = False,
    after: Step | None = None,
) -> list[str]:
    """Return what does not hold yet before the step, each with what to type.

    ``wait`` is how long the old column must have been left alone before retire, and kept before drop. With
    ``swap`` there is no step switch. ``after`` is the step before it, if not the one before it in ``Step``.
    """
    events = position.standing_events(change)
    previous = after or (Step.CONSTRAIN if swap and step is Step.RETIRE else step.previous)
    if previous and not any(taken.position >= previous.position for taken in events):
        return [f"The step {previous} comes before it: {manage_command('column_change', change, 'next')}."]
    find = {Step.CONSTRAIN: _find_unverified, Step.RETIRE: _find_writes, Step.DROP: _find_unsafe_drop}
    if swap:  # the old column's name is the one that all code goes on writing
        del find[Step.RETIRE]
    return list(find[step](change, events, wait)) if step in find else []


def _find_unverified(change: str, events: Events, wait: timedelta) -> Iterator[str]:
    backfill, verify = events.get(Step.BACKFILL), events.get(Step.VERIFY)
    verify_it = manage_command("column_change", change, "next")
    take_back = manage_command("column_change", change, "back")
    again = f"Take verify back: {take_back}. Then verify again: {verify_it}."
    if verify is None or (backfill and backfill.pk > verify.pk):
        yield f"Nothing was verified since the last backfill. To verify it: {verify_it}."
        return
    if (run := backfill and _find_later_run(backfill, verify)) and (finished := run.finished_at):
        yield f"Run {run.pk} ({run.operation}) ended at {format_time(finished)}, after verify. {again}"
    elif run:
        yield f"Run {run.pk} ({run.operation}) writes the column, and is {run.state}. Let it end. {again}"


def _find_later_run(backfill: ColumnChangeEvent, verify: ColumnChangeEvent) -> Run | None:
    """Return a run, such as a revert of the backfill, that has written the column since it was verified."""
    runs = Run.objects.only("operation", "model", "columns", "state", "finished_at")
    written = runs.filter(pk=backfill.run_id).first() if backfill.run_id else None
    if written is None:
        return None
    later = runs.filter(model=written.model, pk__gt=written.pk).exclude(
        state=State.CANCELLED, started_at=None
    )
    for run in later.order_by("pk"):
        is_over = run.finished_at and run.finished_at <= verify.created_at
        if not is_over and set(run.columns) & set(written.columns):
            return run
    return None


def _find_writes(change: str, events: Events, wait: timedelta) -> Iterator[str]:
    writers = dict(
        ColumnWriter.objects.filter(change=change)
        .values_list("application_name")
        .annotate(last=Max("last_written_at"))
        .order_by("-last")
    )
    expand = events.get(Step.EXPAND)
    since = max([*writers.values(), *([expand.created_at] if expand else [])], default=None)
    if since is None or since + wait <= _now():
        return
    if not writers or (expand and expand.created_at == since):
        began = f"The step expand was taken at {format_time(since)}"
    else:
        names = [
            f"{escape_control_chars(name) or '(no application_name)'} at {format_time(last)}"
            for name, last in list(writers.items())[:_MAX_WRITERS]
        ]
        more = f" and {len(writers) - _MAX_WRITERS} others" if len(writers) > _MAX_WRITERS else ""
        began = f"The old column was written by {', '.join(names)}{more}"
    yield (
        f"{began}. The step needs {format_duration(wait)} in which nobody writes the old column."
        f" If nobody does, it may be taken at {format_time(since + wait)}:"
        f" {manage_command('column_change', change, 'next')}."
    )


def _find_unsafe_drop(change: str, events: Events, wait: timedelta) -> Iterator[str]:
    if Step.RETIRE not in events:
        return
    retired = events[Step.RETIRE].created_at
    if retired + wait > _now():
        yield (
            f"The old column was retired at {format_time(retired)}, and is kept for {format_duration(wait)},"
            f" until {format_time(retired + wait)}: {manage_command('column_change', change, 'next')}."
        )
    backup = latest_backup(verified=True)
    if backup is None or backup.started_at <= retired:
        newest = f"; the newest began at {format_time(backup.started_at)}" if backup else ""
        yield (
            f"No verified backup began after it was retired at {format_time(retired)}{newest}."
            f" Make one: {manage_command('backup_db', '--verify')}."
        )


def _now() -> datetime:
    now: datetime = fetch_all("SELECT clock_timestamp()")[0][0]
    return now
