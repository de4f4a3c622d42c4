"""Runs that are under way or did not end well, the workers, and rows that the checks would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone
from redis import RedisError

from ops.command_lines import manage_command
from ops.formatting import pluralize
from ops.models import Run
from ops.operations.verification import count_violations
from ops.preflight.finding import Finding, PreflightContext, Severity
from ops.queue.liveness import count_live_workers
from ops.runs.advice import RunAction, end_commands, format_run_command
from ops.runs.outlook import compute_status, status_label
from ops.states import ACTIVE, UNSUCCESSFUL, State

_FAILED_WITHIN = timedelta(days=7)
_MAX_LISTED = 8


def check_active_runs(context: PreflightContext) -> Finding:
    runs = Run.objects.filter(state__in=ACTIVE)
    if not runs:
        return Finding(Severity.GREEN, "No run is under way.")
    severity = Severity.RED if context.has_unapplied_migrations else Severity.YELLOW
    todo = tuple(line for run in runs[:_MAX_LISTED] for line in end_commands(run.pk, State(run.state)))
    return Finding(severity, f"{pluralize(len(runs), 'run')} under way.", tuple(_format_runs(runs)), todo)


def check_failed_runs(context: PreflightContext) -> Finding:
    """Those of the last week: what is older has been seen."""
    runs = Run.objects.filter(state__in=UNSUCCESSFUL, finished_at__gte=timezone.now() - _FAILED_WITHIN)
    if not runs:
        return Finding(Severity.GREEN, "No run of the last week ended badly.")
    found = f"{pluralize(len(runs), 'run')} of the last week ended badly."
    todo = tuple(format_run_command(run.pk, RunAction.SHOW) for run in runs[:_MAX_LISTED])
    return Finding(Severity.YELLOW, found, tuple(_format_runs(runs)), todo)


def check_workers(context: PreflightContext) -> Finding:
    try:
        alive = count_live_workers()
    except RedisError as exc:
        return Finding(Severity.YELLOW, f"Redis is away, so nobody knows: {exc}")
    if not alive:
        return Finding(Severity.GREEN, "No worker is alive.")
    found = f"{pluralize(alive, 'worker')} alive."
    if not context.has_unapplied_migrations:
        return Finding(Severity.GREEN, found)
    todo = ("Where the migration needs it, stop them: docker compose stop worker",)
    return Finding(Severity.YELLOW, found, todo=todo)


def check_refused_rows(context: PreflightContext) -> Finding:
    """What the checks of the operations find now, before anything is changed."""
    found = count_violations()
    refused = [f"{label}: {count:,}" for label, count in found.items() if count]
    unasked = [name for name, count in found.items() if count is None]
    details = (*refused, *(f"{name} can be asked once the migrations are applied" for name in unasked))
    if not refused:
        held = pluralize(len(found) - len(unasked), "check")
        return Finding(Severity.GREEN, f"{held} of operations: all hold.", details)
    todo = ("Fine for rows that a backfill is about to change; mend any others first.",)
    return Finding(Severity.YELLOW, "Checks of operations find rows.", details, todo)


def _format_runs(runs: QuerySet[Run]) -> Iterator[str]:
    for run in runs[:_MAX_LISTED]:
        yield f"run {run.pk}, {run.operation}: {status_label(compute_status(run))}, by {run.performed_by}"
    if len(runs) > _MAX_LISTED:
        yield f"and {len(runs) - _MAX_LISTED} more: {manage_command('runs')}"
