"""Runs that are under way or did not end well, the workers, and rows that the checks would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import ProgrammingError
from django.db.models import QuerySet
from django.utils import timezone
from redis import RedisError

from ops import registry
from ops.declaration import build
from ops.engine.settle import verify
from ops.exceptions import OpsError
from ops.models import Run
from ops.operation import Operation
from ops.preflight.finding import Finding, Light, Situation
from ops.queue.presence import workers_alive
from ops.report import words
from ops.scope import Scope
from ops.states import State

ACTIVE = (State.QUEUED, State.RUNNING, State.PAUSING, State.CANCELLING)
UNWELL = (State.FAILED, State.FINISHED_WITH_FAILURES, State.VERIFICATION_FAILED)
_RECENT = timedelta(days=7)
_SHOWN = 8


def active_runs(situation: Situation) -> Finding:
    runs = Run.objects.filter(state__in=ACTIVE)
    if not runs:
        return Finding(Light.GREEN, "No run is under way.")
    light = Light.RED if situation.migrates else Light.YELLOW
    todo = tuple(f"manage.py runs pause {run.pk}" for run in runs[:_SHOWN])
    return Finding(light, f"{words.plural(len(runs), 'run')} under way.", tuple(_told(runs)), todo)


def failed_runs(situation: Situation) -> Finding:
    """Those of the last week: what is older has been seen."""
    runs = Run.objects.filter(state__in=UNWELL, finished_at__gte=timezone.now() - _RECENT)
    if not runs:
        return Finding(Light.GREEN, "No run of the last week ended badly.")
    found = f"{words.plural(len(runs), 'run')} of the last week ended badly."
    todo = tuple(f"manage.py runs show {run.pk}" for run in runs[:_SHOWN])
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
    found: dict[str, int] = {}
    waiting = []
    for operation in _exemplary():
        try:
            found |= {check["label"]: check["found"] for check in verify(operation, Scope())}
        except ProgrammingError:
            waiting.append(f"{operation.name} can be asked once the migrations are applied")
    refused = (*(f"{label}: {count:,}" for label, count in found.items() if count), *waiting)
    if not any(found.values()):
        return Finding(Light.GREEN, f"{words.plural(len(found), 'check')} of operations: all hold.", refused)
    todo = ("Fine for rows that a backfill is about to change; mend any others first.",)
    return Finding(Light.YELLOW, "Checks of operations find rows.", refused, todo)


def _exemplary() -> Iterator[Operation]:
    """The operations that can be built without anybody's parameters."""
    for declared in registry.all_operations():
        if declared.example is not None:
            try:
                yield build(declared, declared.example, timezone.now())
            except OpsError:
                continue  # its example needs rows that are not there


def _told(runs: QuerySet[Run]) -> Iterator[str]:
    for run in runs[:_SHOWN]:
        yield f"run {run.pk}, {run.operation}: {run.get_state_display()}, by {run.performed_by}"
    if len(runs) > _SHOWN:
        yield f"and {len(runs) - _SHOWN} more: manage.py runs"
