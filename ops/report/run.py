"""A run in words and as JSON: one line of a list, the whole of it, the summary at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ops import advice, outlook, runs, words
from ops.advice import Step, Verb, command
from ops.contract import remarks_of
from ops.exceptions import OpsError
from ops.health.health import silences
from ops.health.hold import holders, is_held
from ops.models import Run
from ops.operation import Operation
from ops.progress import progress_of
from ops.queue import presence
from ops.rebuild import REVERT
from ops.report.rows import failed
from ops.report.run_json import SHOWN, reverts_of
from ops.rowlist import FailedRows
from ops.scope import words_of
from ops.states import AT_WORK, State

_DONE = (State.SUCCEEDED, State.CANCELLED)


def summary(run: Run) -> list[str]:
    """What became of the run, what its checks found, and what to type next."""
    told = progress_of(run)
    took = f"in {words.duration(told.elapsed)} ({words.rate(told.changed, told.elapsed)})"
    counts = f"{told.changed:,} changed" + (f", {told.failed:,} failed" if told.failed else "")
    details = f"{words.plural(told.batches, 'batch', 'batches')}, {words.plural(told.sweep, 'sweep')}"
    lines = [f"Run {run.pk} {_verb(run)}: {counts} {took}, {details}."]
    if run.error:
        lines.append(f"  {run.error}")
    return [
        *lines,
        *checks(run.checks),
        *_remarks(run),
        *(f"  then    {told}" for told in _followed(run)),
        next_step(run),
    ]


def queued(run: Run, warning: str) -> list[str]:
    """What is said of a run that was left to the workers."""
    workers = words.plural(run.workers or 0, "worker")
    return [f"Run {run.pk} is left to {workers}.", *([warning] if warning else []), next_step(run)]


def checks(found: list[dict[str, Any]]) -> list[str]:
    lines = []
    for check in found:
        sample = f", such as {', '.join(check['sample'])}" if check["sample"] else ""
        told = f"{check['label']}: {check['found']:,}{sample}{asked_of(check)}"
        lines.append(f"  {_light(check):<6}  {told}")
    return lines


def _light(check: Mapping[str, Any]) -> str:
    return "note" if check.get("late") else "FAILED" if check["found"] else "ok"


def asked_of(check: Mapping[str, Any]) -> str:
    """Which rows a check was asked of, where those were not all of them."""
    return f" (asked only of {check['scope']})" if check.get("scope") else ""


def next_step(run: Run) -> str:
    """What to type next."""
    return outlook.next_step(run)


def whole(run: Run) -> list[str]:
    here = outlook.look(run)
    lines = [f"Run {run.pk}: {run.operation}, {outlook.label_of(here.status)}"]
    lines += [f"  {name:<9} {fact}" for name, fact in facts(run).items()]
    return [
        *lines,
        *checks(run.checks),
        *_remarks(run),
        *(f"  note    {silence}" for silence in silences(run.silent_health)),
        *_failures(run),
        *([] if run.state in _DONE else [str(advice.next_step(here))]),
    ]


def facts(run: Run) -> dict[str, str]:
    """What there is to know of the run, by name, in the order in which it is read."""
    told = progress_of(run)
    known = {
        "params": ", ".join(f"{k}={words.value(v)}" for k, v in run.params.items()),
        "scope": words_of(run),
        "asked by": f"{run.performed_by}, {_time(run.created_at)}",
        "follows": f"run {run.follows_id}" if run.follows_id else "",
        "started": _time(run.started_at),
        "finished": _time(run.finished_at),
        "workers": _workers(run),
        "stalled": stalled(run),
        "took": words.duration(told.elapsed) if run.started_at else "",
        "changed": f"{told.changed:,} of {told.total:,} ({words.rate(told.changed, told.elapsed)})",
        "failed": f"{told.failed:,}" if told.failed else "",
        "batches": f"{told.batches:,} in {words.plural(told.sweep, 'sweep')}",
        "writes": ", ".join(f"{run.model}.{column}" for column in run.columns),
        "held": hold(run).removeprefix("held ") if is_held(run) else "",
        "ignores": ", ".join(run.ignored_health),
        "reverted": ", ".join(_reverted(run)),
        "backup": "not asked for (--no-backup)" if run.without_backup else "",
        "then": "; ".join(_followed(run)),
        "error": run.error,
    }
    return {name: fact for name, fact in known.items() if fact}


def line(run: Run) -> list[str]:
    """The cells of one line of the list."""
    told = progress_of(run)
    share = f"{100 * told.done / told.total:.0f} %" if told.total else "100 %"
    return [
        str(run.pk),
        run.operation,
        outlook.label_of(outlook.status_of(run)),
        f"{told.changed:,}",
        share,
        f"{told.failed:,}" if told.failed else "-",
        run.performed_by,
        _time(run.created_at),
    ]


def hold(run: Run) -> str:
    """Until when the run is held, and why."""
    return f"held until {run.held_until:%H:%M:%S} UTC by {words.harmless(run.held_reason)}"


def past_the_hold(run: Run) -> list[Step]:
    """What lets a held run go on all the same."""
    return advice.past_a_hold(run.pk, holders(run.held_reason))


def remarks(run: Run) -> list[str]:
    operation = _operation(run)
    return remarks_of(operation, run) if operation else []


def _remarks(run: Run) -> list[str]:
    told = remarks(run)
    listed = [f"to list them: {command(run.pk, Verb.CONFLICTS)}"] if told and run.operation == REVERT else []
    return [f"  note    {remark}" for remark in (*told, *listed)]


def _followed(run: Run) -> Iterator[str]:
    """The runs that began when this one ended, or will when it ends."""
    for other in run.followed_by.order_by("pk"):
        yield f"run {other.pk}, {other.operation}, {other.get_state_display()}"
    for wish in run.followups.order_by("pk"):
        yield f"{wish.operation}, for which {wish.performed_by} asked meanwhile"


def _operation(run: Run) -> Operation | None:
    """None where the operation was changed or removed since: then it has no more to say."""
    try:
        return runs.operation_of(run)
    except OpsError:
        return None


def _reverted(run: Run) -> Iterator[str]:
    for revert in reverts_of(run):
        yield f"{progress_of(revert).changed:,} rows by run {revert.pk}"


def failures(run: Run) -> tuple[list[tuple[str, str]], int]:
    """The first rows that failed, each with its error's first line; and how many there are besides."""
    found = FailedRows(run)
    shown = found.page(SHOWN)
    return [(row.name, failed(row)) for row in shown], found.count() - len(shown)


def _failures(run: Run) -> list[str]:
    told, rest = failures(run)
    lines = [f"  failed    {name}: {error}" for name, error in told]
    return [*lines, *([f"  and {rest:,} more: {command(run.pk, Verb.FAILURES)}"] if rest else [])]


def _workers(run: Run) -> str:
    if run.workers is None or run.state not in (State.QUEUED, State.RUNNING):
        return ""
    return " ".join([f"{run.workers} asked for.", presence.missing()]).strip()


def stalled(run: Run) -> str:
    """Where a run at work does not move, although nothing holds it: what to do."""
    if run.workers is None and run.state in AT_WORK and presence.is_quiet(run):
        return f"nobody works on it: {advice.next_step(outlook.look(run)).command}"
    return ""


def _verb(run: Run) -> str:
    if run.state == State.CANCELLED:
        return "was cancelled"
    return (
        f"is {run.get_state_display()}"
        if run.state in (State.PAUSED, State.RUNNING)
        else run.get_state_display()
    )


def _time(when: Any) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC") if when else ""
