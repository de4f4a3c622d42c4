"""Queues, workers and active runs as tables."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.formatting import format_duration
from ops.health.hold import holding_indicators
from ops.report.run import format_hold_reason
from ops.runs.next_steps import hold_override_steps
from ops.runs.status import status_label
from ops.stats.queues import COUNT_FIELDS, ActiveRun, SystemStats


def build_page(stats: SystemStats) -> Group:
    """Build the page of queue_stats; what could not be read is left out."""
    blocks: list[RenderableType] = []
    if stats.queues is not None:
        blocks += [_queue_table(stats), _worker_line(stats), Text()]
    if stats.runs is not None:
        blocks += [
            _run_table(stats.runs) if stats.runs else Text("No run is active."),
            *_hold_lines(stats.runs),
        ]
    return Group(*blocks)


def _queue_table(stats: SystemStats) -> Table:
    table = _new_table("queue", *COUNT_FIELDS)
    for queue in stats.queues or ():
        table.add_row(queue.name, *(f"{count:,}" for count in queue.counts().values()))
    return table


def _worker_line(stats: SystemStats) -> Text:
    workers = "1 worker" if stats.workers == 1 else f"{stats.workers or 'no'} workers"
    age = stats.oldest_waiting
    waiting = "" if age is None else f", the oldest job has waited {format_duration(timedelta(seconds=age))}"
    return Text(f"{workers} alive{waiting}", style="" if stats.workers else "yellow")


def _run_table(runs: list[ActiveRun]) -> Table:
    table = _new_table("run", "operation", "state", "changed", "of", "done", "failed", "rows/s")
    for run in runs:
        progress = run.progress
        table.add_row(
            str(progress.run),
            progress.operation,
            status_label(run.status),
            f"{progress.changed:,}",
            f"{progress.total:,}",
            f"{run.percent:.0f} %" if progress.total else "-",
            f"{progress.failed:,}",
            f"{run.rate:,.0f}",
        )
    return table


def _hold_lines(runs: list[ActiveRun]) -> list[Text]:
    return [Text(line, "yellow") for run in runs if run.hold_reason for line in _hold_messages(run)]


def _hold_messages(run: ActiveRun) -> list[str]:
    number = run.progress.run
    steps = hold_override_steps(number, holding_indicators(run.hold_reason))
    return [f"Run {number} is held. {format_hold_reason(run.hold_reason)}", *map(str, steps)]


def _new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    text_columns = ("queue", "operation", "state")
    for column in columns:
        table.add_column(column, justify="left" if column in text_columns else "right", no_wrap=True)
    return table
