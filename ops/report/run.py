"""A run as text: a row of the list, the details, the summary at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ops.exceptions import OpsError
from ops.formatting import (
    escape_control_chars,
    format_duration,
    format_elapsed,
    format_rate,
    format_time,
    format_value,
    pluralize,
)
from ops.health.hold import holding_indicators, is_held
from ops.health.monitor import format_unavailable
from ops.models import Run
from ops.operations import ApplyChangeSet, Revert
from ops.operations.base import Operation
from ops.operations.contract import collect_notes
from ops.operations.revert import find_reverts
from ops.operations.scope import describe_scope
from ops.queue import liveness
from ops.report.approval import format_approval
from ops.report.column_change_run import describe_change
from ops.report.rows import format_failure
from ops.report.run_json import MAX_LISTED_ROWS
from ops.runs import next_steps
from ops.runs.next_steps import RunAction, Step, format_run_command, get_next_step, list_next_steps
from ops.runs.progress import Progress, read_progress
from ops.runs.rebuild import rebuild_operation
from ops.runs.row_lists import FailedRows
from ops.runs.status import compute_status, describe_next_step, read_run_status, status_label
from ops.states import FINAL, IN_PROGRESS, State


def format_summary(run: Run) -> list[str]:
    """Return the outcome of the run, its check results and notes, and the command to type next."""
    progress = read_progress(run)
    outcome = f"Run {run.pk} {_format_outcome(run)}"
    if run.state == State.AWAITING_APPROVAL:
        return format_waiting(run)
    if run.started_at is None and run.finished_at is not None:
        first_line = f"{outcome} before it started."
    else:
        first_line = f"{outcome}: {_format_counts(progress)}."
    return [
        first_line,
        *([f"  {run.error}"] if run.error else []),
        *format_checks(run.checks),
        *_note_lines(run),
        *(f"  next    {followup}" for followup in iter_followups(run)),
        *_summary_steps(run),
    ]


def format_waiting(run: Run) -> list[str]:
    """Return what a run waits for, and what to do then: a worker starts it, or whoever asked for it."""
    approval = format_approval(run).get("approval", "")
    resume = format_run_command(run.pk, RunAction.RESUME)
    lines = [f"Run {run.pk} was not started: it waits for a second person.", f"  approval  {approval}"]
    if run.workers is None:
        lines.append(f"Somebody approves it in the admin. To start it then: {resume}")
    else:
        lines.append("Somebody approves it in the admin. The workers start it then.")
    return [*lines, describe_next_step(run)]


def _format_counts(progress: Progress) -> str:
    """Return what a run has done; rate, batches and sweeps only if it has tried a row."""
    duration = format_elapsed(progress.elapsed)
    if not progress.done:
        return f"0 changed in {duration}"
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    rate = format_rate(progress.changed, progress.elapsed)
    batches = f"{pluralize(progress.batches, 'batch', 'batches')}, {pluralize(progress.sweep, 'sweep')}"
    return f"{progress.changed:,} changed{failed} in {duration} ({rate}), {batches}"


def _summary_steps(run: Run) -> list[str]:
    """Return the most usual next step; of a cancelled run that changed rows, also how to revert it."""
    first, *others = list_next_steps(read_run_status(run))
    revert = format_run_command(run.pk, RunAction.REVERT)
    if run.state != State.CANCELLED:
        others = []
    return [str(first), *(str(step) for step in others if step.command == revert)]


def format_queued(run: Run, warning: str) -> list[str]:
    """Return the message for a run that was enqueued for the workers."""
    workers = pluralize(run.workers or 0, "worker")
    return [
        f"Run {run.pk} is queued for {workers}.",
        *([warning] if warning else []),
        describe_next_step(run),
    ]


def format_checks(checks: list[dict[str, Any]]) -> list[str]:
    lines = []
    for check in checks:
        sample = f", such as {', '.join(check['sample'])}" if check["sample"] else ""
        result = f"{check['label']}: {check['found']:,}{sample}{_format_check_scope(check)}"
        lines.append(f"  {_check_status(check):<6}  {result}")
    return lines


def _check_status(check: Mapping[str, Any]) -> str:
    return "note" if check.get("late") else "FAILED" if check["found"] else "ok"


def _format_check_scope(check: Mapping[str, Any]) -> str:
    """Return the scope of a check, if it did not check all rows."""
    return f" (scope: {check['scope']})" if check.get("scope") else ""


def format_details(run: Run) -> list[str]:
    status = read_run_status(run)
    lines = [f"Run {run.pk}: {run.operation}, {status_label(status.status)}"]
    lines += [f"  {name:<9} {value}" for name, value in detail_fields(run).items()]
    return [
        *lines,
        *format_checks(run.checks),
        *_note_lines(run),
        *(f"  note    {note}" for note in format_unavailable(run.silent_health)),
        *_failure_lines(run),
        *([] if run.state in FINAL else [str(get_next_step(status))]),
    ]


def detail_fields(run: Run) -> dict[str, str]:
    """Return the details of the run by name, in display order, without the empty ones."""
    progress = read_progress(run)
    fields = {
        "params": ", ".join(f"{k}={format_value(v)}" for k, v in run.params.items()),
        "scope": describe_scope(run),
        "created": f"{format_time(run.created_at)} by {run.performed_by}",
        **format_approval(run),
        "part of": describe_change(run),
        "follows": f"run {run.follows_id}" if run.follows_id else "",
        "started": format_time(run.started_at),
        "finished": format_time(run.finished_at),
        "workers": _format_workers(run),
        "stalled": format_stalled(run),
        "took": format_duration(progress.elapsed) if run.started_at else "",
        "changed": f"{progress.changed:,} of {progress.total:,}"
        + (f" ({format_rate(progress.changed, progress.elapsed)})" if progress.done else ""),
        "failed": f"{progress.failed:,}" if progress.failed else "",
        "batches": f"{progress.batches:,} in {pluralize(progress.sweep, 'sweep')}" if progress.done else "",
        "writes": ", ".join(f"{run.model}.{column}" for column in run.columns),
        "held": f"{_format_hold_end(run)} by {escape_control_chars(run.held_reason)}" if is_held(run) else "",
        "ignores": ", ".join(run.ignored_health),
        "reverted": ", ".join(_iter_reverts(run)),
        "backup": "not required (--no-backup)" if run.without_backup else "",
        "next": "; ".join(iter_followups(run)),
        "error": run.error,
    }
    return {name: value for name, value in fields.items() if value}


def format_row(run: Run) -> list[str]:
    """Return the cells of the run's row in the list."""
    progress = read_progress(run)
    percent = f"{100 * progress.done / progress.total:.0f} %" if progress.total else "-"
    return [
        str(run.pk),
        run.operation,
        status_label(compute_status(run)),
        f"{progress.changed:,}",
        percent,
        f"{progress.failed:,}" if progress.failed else "-",
        run.performed_by,
        format_time(run.created_at),
    ]


def format_hold(run: Run) -> str:
    """Return sentences that say until when the run is held, and by which indicators."""
    return f"Waiting {_format_hold_end(run)}. {format_hold_reason(run.held_reason)}"


def format_hold_reason(reason: str) -> str:
    """Return the reason of a hold as a sentence."""
    noun = "Health checks" if len(holding_indicators(reason)) > 1 else "Health check"
    return f"{noun} {escape_control_chars(reason)}."


def _format_hold_end(run: Run) -> str:
    return f"until {run.held_until:%H:%M:%S} UTC"


def hold_override_steps(run: Run) -> list[Step]:
    """Return the steps that let a held run continue at once."""
    return next_steps.hold_override_steps(run.pk, holding_indicators(run.held_reason))


def get_operation_notes(run: Run) -> list[str]:
    operation = _find_operation(run)
    return collect_notes(operation, run) if operation else []


def _note_lines(run: Run) -> list[str]:
    notes = get_operation_notes(run)
    if notes and run.operation in (ApplyChangeSet.name, Revert.name):
        notes = [*notes, f"to list them: {format_run_command(run.pk, RunAction.CONFLICTS)}"]
    return [f"  note    {note}" for note in notes]


def iter_followups(run: Run, start: str = " starts when this run ends") -> Iterator[str]:
    """Yield the runs that started when this one ended, and those that will; ``start`` says when."""
    for follower in run.followed_by.order_by("pk"):
        yield f"run {follower.pk}, {follower.operation}, {follower.get_state_display()}"
    for request in run.followups.order_by("pk"):
        yield f"{request.operation} (requested by {request.performed_by}){start}"


def _find_operation(run: Run) -> Operation | None:
    """Return None if the operation was changed or removed since: then there are no notes."""
    try:
        return rebuild_operation(run)
    except OpsError:
        return None


def _iter_reverts(run: Run) -> Iterator[str]:
    for revert in find_reverts(run.pk):
        yield f"{pluralize(read_progress(revert).changed, 'row')} by run {revert.pk}"


def read_first_failures(run: Run) -> tuple[list[tuple[str, str]], int]:
    """Return the first failed rows as (name, first line of the error), and the number of further ones."""
    failed = FailedRows(run)
    page = failed.page(MAX_LISTED_ROWS)
    return [(row.name, format_failure(row)) for row in page], failed.count() - len(page)


def _failure_lines(run: Run) -> list[str]:
    failures, more = read_first_failures(run)
    lines = [f"  failed    {name}: {error}" for name, error in failures]
    if more:
        lines.append(f"  and {more:,} more: {format_run_command(run.pk, RunAction.FAILURES)}")
    return lines


def _format_workers(run: Run) -> str:
    if run.workers is None or run.state not in (State.QUEUED, State.RUNNING):
        return ""
    return " ".join([f"{run.workers} requested.", liveness.get_worker_warning()]).strip()


def format_stalled(run: Run) -> str:
    """Return what to do about a run that no process works on although it is in progress; else ""."""
    if run.workers is None and run.state in IN_PROGRESS and liveness.is_stalled(run):
        return f"no process works on it: {get_next_step(read_run_status(run)).command}"
    return ""


def _format_outcome(run: Run) -> str:
    if run.state == State.CANCELLED:
        return "was cancelled"
    label = run.get_state_display()
    return f"is {label}" if run.state in (State.PAUSED, State.RUNNING) else label
