"""What happened, as an entry of the migration log: the guide's template, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ops.command_lines import manage_command
from ops.formatting import (
    escape_control_chars,
    format_duration,
    format_rate,
    format_size,
    format_time,
    format_value,
    pluralize,
)
from ops.history import History
from ops.models import Run
from ops.runs.progress import read_progress
from ops.states import State

_MARKS = {State.SUCCEEDED: "✅", State.FAILED: "❌", State.VERIFICATION_FAILED: "❌"}
_WARNING_MARK = "⚠️"
_MAX_FAILURES = 5


def as_markdown(told: History, title: str, applied_by: str, notes: Sequence[str]) -> str:
    lines = [
        f"## Migration: {title or _default_title(told)}",
        f"**Date**: {(told.began or told.since):%Y-%m-%d}",
        f"**Applied By**: {', '.join(dict.fromkeys([applied_by, *told.people]))}",
        f"**Duration**: {_format_duration(told)}",
        "",
        "### Pre-Migration",
        *_iter_pre_migration(told),
        "",
        "### Migration Steps",
        *_iter_steps(told),
        "",
        "### Post-Migration",
        *_iter_post_migration(told),
        "",
        "### Issues/Notes",
        *_iter_issues(told, notes),
    ]
    return "\n".join(map(escape_control_chars, lines)) + "\n"


def _default_title(told: History) -> str:
    parts = [m.name for m in told.migrations] + [run.operation for run in told.runs]
    few = list(dict.fromkeys(parts))
    more = f" and {len(few) - 3} more" if len(few) > 3 else ""
    return (", ".join(few[:3]) + more) or "nothing was done"


def _format_duration(told: History) -> str:
    if told.began is None or told.ended is None:
        return "none"
    began, ended = _format_clock_time(told.began), _format_clock_time(told.ended)
    return f"{format_duration(told.ended - told.began)} ({began} to {ended} UTC)"


def _iter_pre_migration(told: History) -> Iterator[str]:
    backup = told.backup
    if backup is None:
        yield "- Backup: none is recorded"
        return
    verified = "verified" if backup.verified_at else "not verified"
    started = format_time(backup.started_at)
    yield f"- Backup: `{backup.file.name}` ({format_size(backup.size)}, {started}, {verified})"
    held = {name.rpartition(".")[2]: count for name, count in backup.counts.items()}
    for table in told.counts:
        if table in held:
            yield f"- Rows of `{table}` in it: {held[table]:,}"


def _iter_steps(told: History) -> Iterator[str]:
    steps = [(m.at, f"✅ Applied `{m.name}` at {_format_clock_time(m.at)}") for m in told.migrations]
    steps += [(run.created_at, _format_run(run)) for run in told.runs]
    if not steps:
        yield f"Nothing since {format_time(told.since)}."
    for number, (_, text) in enumerate(sorted(steps, key=lambda step: step[0]), start=1):
        yield f"{number}. {text}"


def _format_run(run: Run) -> str:
    done = read_progress(run)
    asked = "".join(f", {name}={format_value(value)}" for name, value in sorted(run.params.items()))
    figures = f"{done.changed:,} of {done.total:,} rows changed"
    if done.failed:
        figures += f", {done.failed:,} failed"
    how = f"in {format_duration(done.elapsed)}, {format_rate(done.changed, done.elapsed)}"
    place = f", on {pluralize(run.workers, 'worker')}" if run.workers else ""
    mark = _MARKS.get(State(run.state), _WARNING_MARK)
    ending = "" if run.state == State.SUCCEEDED else f": {run.get_state_display()}"
    told = f"{figures} {how}{place}, by {run.performed_by}{ending}"
    return f"{mark} Run {run.pk}, `{run.operation}`{asked}: {told}"


def _iter_post_migration(told: History) -> Iterator[str]:
    for table, count in told.counts.items():
        yield f"- Rows of `{table}`: {count:,}"
    for label, found in told.checks.items():
        if found is not None:
            yield f"- {'✅' if not found else _WARNING_MARK} {label}: {found:,}"
    yield f"- Workers: {told.workers}"


def _iter_issues(told: History, notes: Sequence[str]) -> Iterator[str]:
    issues = [*(f"- {note}" for note in notes), *_iter_problems(told)]
    yield from issues or ["- None"]


def _iter_problems(told: History) -> Iterator[str]:
    for run in told.runs:
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


def _format_clock_time(when: datetime) -> str:
    return f"{when:%H:%M:%S}"
