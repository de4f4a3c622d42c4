"""Runs that are under way or did not end well, the workers, and rows that the checks would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone
from redis import RedisError

from ops import words
from ops.advice import Verb, command, to_have_over
from ops.checks import found_by_checks
from ops.models import Run
from ops.outlook import label_of, status_of
from ops.preflight.finding import Finding, Light, Situation
from ops.queue.presence import workers_alive
from ops.states import MOVING, UNWELL, State
from ops.typed import manage

_RECENT = timedelta(days=7)
_SHOWN = 8


def active_runs(situation: Situation) -> Finding:
    runs = Run.objects.filter(state__in=MOVING)
    if not runs:
        return Finding(Light.GREEN, "No run is under way.")
    light = Light.RED if situation.migrates else Light.YELLOW
    todo = tuple(line for run in runs[:_SHOWN] for line in to_have_over(run.pk, State(run.state)))
    return Finding(light, f"{words.plural(len(runs), 'run')} under way.", tuple(_told(runs)), todo)


def failed_runs(situation: Situation) -> Finding:
    """Those of the last week: what is older has been seen."""
    runs = Run.objects.filter(state__in=UNWELL, finished_at__gte=timezone.now() - _RECENT)
    if not runs:
        return Finding(Light.GREEN, "No run of the last week ended badly.")
    found = f"{words.plural(len(runs), 'run')} of the last week ended badly."
    todo = tuple(command(run.pk, Verb.SHOW) for run in runs[:_SHOWN])
    return Finding(Light.YELLOW, found, tuple(_told(runs)), todo)


def workers(situation: Situation) -> Finding:
    try:
        alive = workers_alive()
    except RedisError as exc:
        return Finding(Light.YELLOW, f"Redis is away, so nobody knows: {exc}")
    if not alive:
        return Finding(Light.GREEN, "No worker is alive.")
    found = f"{words.plural(alive, 'worker')} alive."
    if not situation.migrates:
        return Finding(Light.GREEN, found)
    todo = ("Where the migration needs it, stop them: docker compose stop worker",)
    return Finding(Light.YELLOW, found, todo=todo)


def rows_refused(situation: Situation) -> Finding:
    """What the checks of the operations find now, before anything is changed."""
    found = found_by_checks()
    refused = [f"{label}: {count:,}" for label, count in found.items() if count]
    unasked = [name for name, count in found.items() if count is None]
    details = (*refused, *(f"{name} can be asked once the migrations are applied" for name in unasked))
    if not refused:
        held = words.plural(len(found) - len(unasked), "check")
        return Finding(Light.GREEN, f"{held} of operations: all hold.", details)
    todo = ("Fine for rows that a backfill is about to change; mend any others first.",)
    return Finding(Light.YELLOW, "Checks of operations find rows.", details, todo)


def _told(runs: QuerySet[Run]) -> Iterator[str]:
    for run in runs[:_SHOWN]:
        yield f"run {run.pk}, {run.operation}: {label_of(status_of(run))}, by {run.performed_by}"
    if len(runs) > _SHOWN:
        yield f"and {len(runs) - _SHOWN} more: {manage('runs')}"
