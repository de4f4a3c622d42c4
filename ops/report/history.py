"""Format an entry of the migration log as Markdown, by the template of the guide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ops.command_lines import manage_command
from ops.formatting import (
    escape_control_chars,
    format_duration,
    format_elapsed,
    format_rate,
    format_size,
    format_time,
    format_value,
    pluralize,
)
from ops.history import History
from ops.models import ColumnChangeEvent, Run
from ops.report.approval import format_decision
from ops.runs.approval_policy import find_approval
from ops.runs.progress import read_progress
from ops.states import State

_MARKS = {State.SUCCEEDED: "✅", State.FAILED: "❌", State.VERIFICATION_FAILED: "❌"}
_WARNING_MARK = "⚠️"
_MAX_FAILURES = 5


def as_markdown(history: History, title: str, applied_by: str, notes: Sequence[str]) -> str:
    lines = [
        f"## Migration: {title or _default_title(history)}",
        f"**Date**: {(history.started_at or history.since):%Y-%m-%d}",
        f"**Applied By**: {', '.join(dict.fromkeys([applied_by, *history.performers]))}",
        f"**Duration**: {_format_duration(history)}",
        "",
        "### Pre-Migration",
        *_iter_pre_migration(history),
        "",
        "### Migration Steps",
        *_iter_steps(history),
        "",
        "### Post-Migration",
        *_iter_post_migration(history),
        "",
        "### Issues/Notes",
        *_iter_issues(history, notes),
    ]
    return "\n".join(map(escape_control_chars, lines)) + "\n"


def _default_title(history: History) -> str:
    names = [m.name for m in history.migrations] + [run.operation for run in history.runs]
    names += [step.change for step in history.steps]
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return (", ".join(distinct[:3]) + more) or "nothing was done"


def _format_duration(history: History) -> str:
    if history.started_at is None or history.finished_at is None:
        return "none"
    start, end = _format_clock_time(history.started_at), _format_clock_time(history.finished_at)
    return f"{format_duration(history.finished_at - history.started_at)} ({start} to {end} UTC)"


def _iter_pre_migration(history: History) -> Iterator[str]:
    backup = history.backup
    if backup is None:
        before = history.started_at
        first_step = f" was made before the first step ({_format_clock_time(before)})" if before else ""
        yield f"- Backup: none{first_step}"
        return
    verified = "verified" if backup.verified_at else "not verified"
    started = format_time(backup.started_at)
    yield f"- Backup: `{backup.file.name}` ({format_size(backup.size)}, {started}, {verified})"
    counts = {name.rpartition(".")[2]: count for name, count in backup.counts.items()}
    for table in history.counts:
        if table in counts:
            yield f"- Rows of `{table}` in it: {counts[table]:,}"


def _iter_steps(history: History) -> Iterator[str]:
    steps = [
        (m.applied_at, f"✅ Applied `{m.name}` at {_format_clock_time(m.applied_at)}")
        for m in history.migrations
    ]
    steps += [(run.created_at, _format_run(run)) for run in history.runs]
    steps += [(step.created_at, _format_column_change_step(step)) for step in history.steps]
    if not steps:
        yield f"Nothing since {format_time(history.since)}."
    for number, (_, text) in enumerate(sorted(steps, key=lambda step: step[0]), start=1):
        yield f"{number}. {text}"


def _format_column_change_step(step: ColumnChangeEvent) -> str:
    mark, verb = ("↩️", "taken back") if step.is_back else ("✅", "taken")
    run = f" by run {step.run_id}" if step.run_id else ""
    reason = f": {step.reason}" if step.reason else ""
    place = f"at {_format_clock_time(step.created_at)}, by {step.performed_by}"
    return f"{mark} Column change `{step.change}`: step {step.step} {verb}{run} {place}{reason}"


def _format_run(run: Run) -> str:
    progress = read_progress(run)
    params = "".join(f", {name}={format_value(value)}" for name, value in sorted(run.params.items()))
    figures = f"{progress.changed:,} of {pluralize(progress.total, 'row')} changed"
    if progress.failed:
        figures += f", {progress.failed:,} failed"
    speed = f" in {format_elapsed(progress.elapsed)}" if run.started_at else ""
    if progress.done:
        speed += f", {format_rate(progress.changed, progress.elapsed)}"
    place = f", on {pluralize(run.workers, 'worker')}" if run.workers else ""
    mark = _MARKS.get(State(run.state), _WARNING_MARK)
    ending = "" if run.state == State.SUCCEEDED else f": {run.get_state_display()}"
    summary = f"{figures}{speed}{place}, by {run.performed_by}{ending}"
    return f"{mark} Run {run.pk}, `{run.operation}`{params}: {summary}{_format_approval(run)}"


def _format_approval(run: Run) -> str:
    """Return who asked a second person what, and the answer; "" if nobody had to be asked."""
    approval = find_approval(run)
    if approval is None:
        return ""
    comment = f" ({approval.comment})" if approval.comment else ""
    answer = format_decision(approval) if approval.decision else "not decided yet"
    return " ".join(f". Asked of a second person{comment}: {answer}".split())


def _iter_post_migration(history: History) -> Iterator[str]:
    for table, count in history.counts.items():
        yield f"- Rows of `{table}`: {count:,}"
    for label, violations in history.checks.items():
        if violations is not None:
            yield f"- {_WARNING_MARK if violations else '✅'} {label}: {violations:,}"
    yield f"- Workers: {history.workers}"


def _iter_issues(history: History, notes: Sequence[str]) -> Iterator[str]:
    issues = [*(f"- {note}" for note in notes), *_iter_problems(history)]
    yield from issues or ["- None"]


def _iter_problems(history: History) -> Iterator[str]:
    for run in history.runs:
        if run.error:
            yield f"- Run {run.pk}: {run.error.splitlines()[0]}"
        for check in run.checks:
            if check["found"]:
                yield f"- Run {run.pk}: {check['label']}: {check['found']:,}"
        failures = run.failures.standing().order_by("pk")
        for failure in failures[:_MAX_FAILURES]:
            yield f"- Run {run.pk}, row {failure.object_id}: {failure.error.splitlines()[0]}"
        if (more := failures.count() - _MAX_FAILURES) > 0:
            command = manage_command("runs", "failures", run.pk)
            yield f"- Run {run.pk}: {more:,} more failed rows (`{command}`)"


def _format_clock_time(time: datetime) -> str:
    return f"{time:%H:%M:%S}"
