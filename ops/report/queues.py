"""Queues, workers and active runs as a person reads them."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.formatting import escape_control_chars, format_duration
from ops.health.hold import holding_indicators
from ops.runs.advice import hold_override_steps
from ops.runs.outlook import status_label
from ops.stats.queues import COUNT_FIELDS, ActiveRun, SystemStats


def build_page(stats: SystemStats) -> Group:
    parts: list[RenderableType] = []
    if stats.queues is not None:
        parts += [_queue_table(stats), _worker_line(stats), Text()]
    if stats.runs is not None:
        parts += [
            _run_table(stats.runs) if stats.runs else Text("No run is active."),
            *_hold_lines(stats.runs),
        ]
    return Group(*parts)


def _queue_table(stats: SystemStats) -> Table:
    table = _new_table("queue", *COUNT_FIELDS)
    for queue in stats.queues or ():
        table.add_row(queue.name, *(f"{count:,}" for count in queue.counts().values()))
    return table


def _worker_line(stats: SystemStats) -> Text:
    alive = "1 worker" if stats.workers == 1 else f"{stats.workers or 'no'} workers"
    age = stats.oldest_waiting
    waited = "" if age is None else f", the oldest job has waited {format_duration(timedelta(seconds=age))}"
    return Text(f"{alive} alive{waited}", style="" if stats.workers else "yellow")


def _run_table(runs: list[ActiveRun]) -> Table:
    table = _new_table("run", "operation", "state", "changed", "of", "done", "failed", "rows/s")
    for run in runs:
        told = run.progress
        counts = (f"{told.changed:,}", f"{told.total:,}", f"{run.percent:.0f} %", f"{told.failed:,}")
        table.add_row(str(told.run), told.operation, status_label(run.status), *counts, f"{run.rate:,.0f}")
    return table


def _hold_lines(runs: list[ActiveRun]) -> list[Text]:
    return [Text(line, "yellow") for run in runs if run.held for line in _hold_messages(run)]


def _hold_messages(run: ActiveRun) -> list[str]:
    number = run.progress.run
    past = hold_override_steps(number, holding_indicators(run.held))
    return [f"Run {number} is held by {escape_control_chars(run.held)}", *map(str, past)]


def _new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    words_in = ("queue", "operation", "state")
    for column in columns:
        table.add_column(column, justify="left" if column in words_in else "right", no_wrap=True)
    return table
