"""What happened, as an entry of the migration log: the guide's template, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ops import words
from ops.history import History
from ops.models import Run
from ops.progress import progress_of
from ops.states import State
from ops.typed import manage

_MARKS = {State.SUCCEEDED: "✅", State.FAILED: "❌", State.VERIFICATION_FAILED: "❌"}
_UNFINISHED = "⚠️"
_SHOWN = 5


def as_markdown(told: History, title: str, applied_by: str, notes: Sequence[str]) -> str:
    lines = [
        f"## Migration: {title or _title(told)}",
        f"**Date**: {(told.began or told.since):%Y-%m-%d}",
        f"**Applied By**: {', '.join(dict.fromkeys([applied_by, *told.people]))}",
        f"**Duration**: {_duration(told)}",
        "",
        "### Pre-Migration",
        *_before(told),
        "",
        "### Migration Steps",
        *_steps(told),
        "",
        "### Post-Migration",
        *_after(told),
        "",
        "### Issues/Notes",
        *_issues(told, notes),
    ]
    return "\n".join(map(words.harmless, lines)) + "\n"


def _title(told: History) -> str:
    parts = [m.name for m in told.migrations] + [run.operation for run in told.runs]
    few = list(dict.fromkeys(parts))
    more = f" and {len(few) - 3} more" if len(few) > 3 else ""
    return (", ".join(few[:3]) + more) or "nothing was done"


def _duration(told: History) -> str:
    if told.began is None or told.ended is None:
        return "none"
    return f"{words.duration(told.ended - told.began)} ({_clock(told.began)} to {_clock(told.ended)} UTC)"


def _before(told: History) -> Iterator[str]:
    backup = told.backup
    if backup is None:
        yield "- Backup: none is recorded"
        return
    verified = "verified" if backup.verified_at else "not verified"
    made = f"{backup.started_at:%Y-%m-%d %H:%M} UTC"
    yield f"- Backup: `{backup.file.name}` ({words.size(backup.size)}, {made}, {verified})"
    held = {name.rpartition(".")[2]: count for name, count in backup.counts.items()}
    for table in told.counts:
        if table in held:
            yield f"- Rows of `{table}` in it: {held[table]:,}"


def _steps(told: History) -> Iterator[str]:
    steps = [(m.at, f"✅ Applied `{m.name}` at {_clock(m.at)}") for m in told.migrations]
    steps += [(run.created_at, _run(run)) for run in told.runs]
    if not steps:
        yield f"Nothing since {told.since:%Y-%m-%d %H:%M} UTC."
    for number, (_, text) in enumerate(sorted(steps, key=lambda step: step[0]), start=1):
        yield f"{number}. {text}"


def _run(run: Run) -> str:
    done = progress_of(run)
    asked = "".join(f", {name}={words.value(value)}" for name, value in sorted(run.params.items()))
    figures = f"{done.changed:,} of {done.total:,} rows changed"
    if done.failed:
        figures += f", {done.failed:,} failed"
    how = f"in {words.duration(done.elapsed)}, {words.rate(done.changed, done.elapsed)}"
    place = f", on {words.plural(run.workers, 'worker')}" if run.workers else ""
    mark = _MARKS.get(State(run.state), _UNFINISHED)
    ending = "" if run.state == State.SUCCEEDED else f": {run.get_state_display()}"
    told = f"{figures} {how}{place}, by {run.performed_by}{ending}"
    return f"{mark} Run {run.pk}, `{run.operation}`{asked}: {told}"


def _after(told: History) -> Iterator[str]:
    for table, count in told.counts.items():
        yield f"- Rows of `{table}`: {count:,}"
    for label, found in told.checks.items():
        if found is not None:
            yield f"- {'✅' if not found else _UNFINISHED} {label}: {found:,}"
    yield f"- Workers: {told.workers}"


def _issues(told: History, notes: Sequence[str]) -> Iterator[str]:
    issues = [*(f"- {note}" for note in notes), *_problems(told)]
    yield from issues or ["- None"]


def _problems(told: History) -> Iterator[str]:
    for run in told.runs:
        if run.error:
            yield f"- Run {run.pk}: {run.error.splitlines()[0]}"
        for check in run.checks:
            if check["found"]:
                yield f"- Run {run.pk}: {check['label']}: {check['found']:,}"
        failures = run.failures.standing().order_by("pk")
        for failure in failures[:_SHOWN]:
            yield f"- Run {run.pk}, row {failure.object_id}: {failure.error.splitlines()[0]}"
        if (more := failures.count() - _SHOWN) > 0:
            yield f"- Run {run.pk}: {more:,} more failed rows (`{manage('runs', 'failures', run.pk)}`)"


def _clock(when: datetime) -> str:
    return f"{when:%H:%M:%S}"
