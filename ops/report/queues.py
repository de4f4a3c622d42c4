"""Queues, workers and active runs as a person reads them."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops import words
from ops.advice import past_a_hold
from ops.health.hold import holders
from ops.outlook import label_of
from ops.stats.queues import COUNTS, ActiveRun, Stats


def page(stats: Stats) -> Group:
    parts: list[RenderableType] = []
    if stats.queues is not None:
        parts += [_queues(stats), _workers(stats), Text()]
    if stats.runs is not None:
        parts += [_runs(stats.runs) if stats.runs else Text("No run is active."), *_holds(stats.runs)]
    return Group(*parts)


def _queues(stats: Stats) -> Table:
    table = _table("queue", *COUNTS)
    for queue in stats.queues or ():
        table.add_row(queue.name, *(f"{count:,}" for count in queue.counts().values()))
    return table


def _workers(stats: Stats) -> Text:
    alive = "1 worker" if stats.workers == 1 else f"{stats.workers or 'no'} workers"
    age = stats.oldest_waiting
    waited = "" if age is None else f", the oldest job has waited {words.duration(timedelta(seconds=age))}"
    return Text(f"{alive} alive{waited}", style="" if stats.workers else "yellow")


def _runs(runs: list[ActiveRun]) -> Table:
    table = _table("run", "operation", "state", "changed", "of", "done", "failed", "rows/s")
    for run in runs:
        told = run.progress
        counts = (f"{told.changed:,}", f"{told.total:,}", f"{run.percent:.0f} %", f"{told.failed:,}")
        table.add_row(str(told.run), told.operation, label_of(run.status), *counts, f"{run.rate:,.0f}")
    return table


def _holds(runs: list[ActiveRun]) -> list[Text]:
    return [Text(line, "yellow") for run in runs if run.held for line in _hold(run)]


def _hold(run: ActiveRun) -> list[str]:
    number = run.progress.run
    past = past_a_hold(number, holders(run.held))
    return [f"Run {number} is held by {words.harmless(run.held)}", *map(str, past)]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    words_in = ("queue", "operation", "state")
    for column in columns:
        table.add_column(column, justify="left" if column in words_in else "right", no_wrap=True)
    return table
