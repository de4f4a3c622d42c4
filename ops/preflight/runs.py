"""Checks of active and failed runs, of the workers, and of rows that violate the operations' checks."""

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
from ops.runs.next_steps import RunAction, end_commands, format_run_command
from ops.runs.status import compute_status, status_label
from ops.states import ACTIVE, UNSUCCESSFUL, State

_FAILED_WITHIN = timedelta(days=7)
_MAX_LISTED = 8


def check_active_runs(context: PreflightContext) -> Finding:
    runs = Run.objects.filter(state__in=ACTIVE)
    if not runs:
        return Finding(Severity.GREEN, "No run is active.")
    severity = Severity.RED if context.has_unapplied_migrations else Severity.YELLOW
    todo = tuple(line for run in runs[:_MAX_LISTED] for line in end_commands(run.pk, State(run.state)))
    return Finding(severity, f"{pluralize(len(runs), 'active run')}.", tuple(_format_runs(runs)), todo)


def check_failed_runs(context: PreflightContext) -> Finding:
    """Find the failed runs of the last week; older ones have been seen."""
    runs = Run.objects.filter(state__in=UNSUCCESSFUL, finished_at__gte=timezone.now() - _FAILED_WITHIN)
    if not runs:
        return Finding(Severity.GREEN, "No run failed in the last week.")
    message = f"{pluralize(len(runs), 'run')} failed in the last week."
    todo = tuple(format_run_command(run.pk, RunAction.SHOW) for run in runs[:_MAX_LISTED])
    return Finding(Severity.YELLOW, message, tuple(_format_runs(runs)), todo)


def check_workers(context: PreflightContext) -> Finding:
    try:
        alive = count_live_workers()
    except RedisError as exc:
        return Finding(Severity.YELLOW, f"Redis is unavailable, so the workers cannot be counted: {exc}")
    if not alive:
        return Finding(Severity.GREEN, "No worker is alive.")
    message = f"{pluralize(alive, 'worker')} alive."
    if not context.has_unapplied_migrations:
        return Finding(Severity.GREEN, message)
    todo = ("If the migration needs it, stop them: docker compose stop worker",)
    return Finding(Severity.YELLOW, message, todo=todo)


def check_refused_rows(context: PreflightContext) -> Finding:
    """Run the checks of the operations, before anything is changed."""
    violations = count_violations()
    rows = [f"{label}: {count:,}" for label, count in violations.items() if count]
    unavailable = [name for name, count in violations.items() if count is None]
    details = (*rows, *(f"{name} can be checked once the migrations are applied" for name in unavailable))
    if not rows:
        checks = pluralize(len(violations) - len(unavailable), "check")
        return Finding(Severity.GREEN, f"{checks} of operations: all pass.", details)
    todo = ("A backfill may correct them. Correct all others before you migrate.",)
    return Finding(Severity.YELLOW, "Some rows fail the checks of the operations.", details, todo)


def _format_runs(runs: QuerySet[Run]) -> Iterator[str]:
    for run in runs[:_MAX_LISTED]:
        yield f"run {run.pk}, {run.operation}: {status_label(compute_status(run))}, by {run.performed_by}"
    if len(runs) > _MAX_LISTED:
        yield f"and {len(runs) - _MAX_LISTED} more: {manage_command('runs')}"
