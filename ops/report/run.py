"""A run in words and as JSON: one line of a list, the whole of it, the summary at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ops.exceptions import OpsError
from ops.formatting import (
    escape_control_chars,
    format_duration,
    format_rate,
    format_time,
    format_value,
    pluralize,
)
from ops.health.hold import holding_indicators, is_held
from ops.health.monitor import format_unavailable
from ops.models import Run
from ops.operations.base import Operation
from ops.operations.contract import collect_notes
from ops.operations.revert import Revert
from ops.operations.scope import describe_scope
from ops.queue import liveness
from ops.report.rows import format_failure
from ops.report.run_json import MAX_LISTED_ROWS, find_reverts
from ops.runs import next_steps
from ops.runs.next_steps import RunAction, Step, format_run_command, get_next_step
from ops.runs.progress import read_progress
from ops.runs.rebuild import rebuild_operation
from ops.runs.row_lists import FailedRows
from ops.runs.status import compute_status, describe_next_step, read_run_status, status_label
from ops.states import IN_PROGRESS, State

_FINISHED_STATES = (State.SUCCEEDED, State.CANCELLED)


def format_summary(run: Run) -> list[str]:
    """What became of the run, what its checks found, and what to type next."""
    told = read_progress(run)
    took = f"in {format_duration(told.elapsed)} ({format_rate(told.changed, told.elapsed)})"
    counts = f"{told.changed:,} changed" + (f", {told.failed:,} failed" if told.failed else "")
    details = f"{pluralize(told.batches, 'batch', 'batches')}, {pluralize(told.sweep, 'sweep')}"
    lines = [f"Run {run.pk} {_format_outcome(run)}: {counts} {took}, {details}."]
    if run.error:
        lines.append(f"  {run.error}")
    return [
        *lines,
        *format_checks(run.checks),
        *_note_lines(run),
        *(f"  then    {told}" for told in _iter_followups(run)),
        format_next_step(run),
    ]


def format_queued(run: Run, warning: str) -> list[str]:
    """What is said of a run that was left to the workers."""
    workers = pluralize(run.workers or 0, "worker")
    return [f"Run {run.pk} is left to {workers}.", *([warning] if warning else []), format_next_step(run)]


def format_checks(found: list[dict[str, Any]]) -> list[str]:
    lines = []
    for check in found:
        sample = f", such as {', '.join(check['sample'])}" if check["sample"] else ""
        told = f"{check['label']}: {check['found']:,}{sample}{format_check_scope(check)}"
        lines.append(f"  {_check_status(check):<6}  {told}")
    return lines


def _check_status(check: Mapping[str, Any]) -> str:
    return "note" if check.get("late") else "FAILED" if check["found"] else "ok"


def format_check_scope(check: Mapping[str, Any]) -> str:
    """Which rows a check was asked of, where those were not all of them."""
    return f" (scope: {check['scope']})" if check.get("scope") else ""


def format_next_step(run: Run) -> str:
    """What to type next."""
    return describe_next_step(run)


def format_details(run: Run) -> list[str]:
    here = read_run_status(run)
    lines = [f"Run {run.pk}: {run.operation}, {status_label(here.status)}"]
    lines += [f"  {name:<9} {fact}" for name, fact in detail_fields(run).items()]
    return [
        *lines,
        *format_checks(run.checks),
        *_note_lines(run),
        *(f"  note    {silence}" for silence in format_unavailable(run.silent_health)),
        *_failure_lines(run),
        *([] if run.state in _FINISHED_STATES else [str(get_next_step(here))]),
    ]


def detail_fields(run: Run) -> dict[str, str]:
    """What there is to know of the run, by name, in the order in which it is read."""
    told = read_progress(run)
    known = {
        "params": ", ".join(f"{k}={format_value(v)}" for k, v in run.params.items()),
        "scope": describe_scope(run),
        "asked by": f"{run.performed_by}, {format_time(run.created_at)}",
        "follows": f"run {run.follows_id}" if run.follows_id else "",
        "started": format_time(run.started_at),
        "finished": format_time(run.finished_at),
        "workers": _format_workers(run),
        "stalled": format_stalled(run),
        "took": format_duration(told.elapsed) if run.started_at else "",
        "changed": f"{told.changed:,} of {told.total:,} ({format_rate(told.changed, told.elapsed)})",
        "failed": f"{told.failed:,}" if told.failed else "",
        "batches": f"{told.batches:,} in {pluralize(told.sweep, 'sweep')}",
        "writes": ", ".join(f"{run.model}.{column}" for column in run.columns),
        "held": format_hold(run).removeprefix("held ") if is_held(run) else "",
        "ignores": ", ".join(run.ignored_health),
        "reverted": ", ".join(_iter_reverts(run)),
        "backup": "not asked for (--no-backup)" if run.without_backup else "",
        "then": "; ".join(_iter_followups(run)),
        "error": run.error,
    }
    return {name: fact for name, fact in known.items() if fact}


def format_row(run: Run) -> list[str]:
    """The cells of one line of the list."""
    told = read_progress(run)
    share = f"{100 * told.done / told.total:.0f} %" if told.total else "100 %"
    return [
        str(run.pk),
        run.operation,
        status_label(compute_status(run)),
        f"{told.changed:,}",
        share,
        f"{told.failed:,}" if told.failed else "-",
        run.performed_by,
        format_time(run.created_at),
    ]


def format_hold(run: Run) -> str:
    """Until when the run is held, and why."""
    return f"held until {run.held_until:%H:%M:%S} UTC by {escape_control_chars(run.held_reason)}"


def hold_override_steps(run: Run) -> list[Step]:
    """What lets a held run go on all the same."""
    return next_steps.hold_override_steps(run.pk, holding_indicators(run.held_reason))


def get_operation_notes(run: Run) -> list[str]:
    operation = _find_operation(run)
    return collect_notes(operation, run) if operation else []


def _note_lines(run: Run) -> list[str]:
    told = get_operation_notes(run)
    listed = (
        [f"to list them: {format_run_command(run.pk, RunAction.CONFLICTS)}"]
        if told and run.operation == Revert.name
        else []
    )
    return [f"  note    {remark}" for remark in (*told, *listed)]


def _iter_followups(run: Run) -> Iterator[str]:
    """The runs that began when this one ended, or will when it ends."""
    for other in run.followed_by.order_by("pk"):
        yield f"run {other.pk}, {other.operation}, {other.get_state_display()}"
    for wish in run.followups.order_by("pk"):
        yield f"{wish.operation}, for which {wish.performed_by} asked meanwhile"


def _find_operation(run: Run) -> Operation | None:
    """None where the operation was changed or removed since: then it has no more to say."""
    try:
        return rebuild_operation(run)
    except OpsError:
        return None


def _iter_reverts(run: Run) -> Iterator[str]:
    for revert in find_reverts(run):
        yield f"{read_progress(revert).changed:,} rows by run {revert.pk}"


def read_first_failures(run: Run) -> tuple[list[tuple[str, str]], int]:
    """The first rows that failed, each with its error's first line; and how many there are besides."""
    found = FailedRows(run)
    shown = found.page(MAX_LISTED_ROWS)
    return [(row.name, format_failure(row)) for row in shown], found.count() - len(shown)


def _failure_lines(run: Run) -> list[str]:
    told, rest = read_first_failures(run)
    lines = [f"  failed    {name}: {error}" for name, error in told]
    return [
        *lines,
        *([f"  and {rest:,} more: {format_run_command(run.pk, RunAction.FAILURES)}"] if rest else []),
    ]


def _format_workers(run: Run) -> str:
    if run.workers is None or run.state not in (State.QUEUED, State.RUNNING):
        return ""
    return " ".join([f"{run.workers} asked for.", liveness.get_worker_warning()]).strip()


def format_stalled(run: Run) -> str:
    """Where a run at work does not move, although nothing holds it: what to do."""
    if run.workers is None and run.state in IN_PROGRESS and liveness.is_stalled(run):
        return f"nobody works on it: {get_next_step(read_run_status(run)).command}"
    return ""


def _format_outcome(run: Run) -> str:
    if run.state == State.CANCELLED:
        return "was cancelled"
    return (
        f"is {run.get_state_display()}"
        if run.state in (State.PAUSED, State.RUNNING)
        else run.get_state_display()
    )
