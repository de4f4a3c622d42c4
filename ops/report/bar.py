"""The live bar of a run, on a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ops.engine.progress import Progress as RunProgress
from ops.engine.progress import progress_of
from ops.models import Run
from ops.report.run import hold
from ops.report.watchers import Watcher
from ops.report.words import harmless


class Bar(Watcher):
    interval = 0.1

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self.run = run
        self.progress = rows_bar(out)
        self.task = self.progress.add_task(
            f"Run {run.pk}", total=run.total, completed=self.first.done, told=""
        )

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:  # The last batches came after the last look.
            self.progress.update(self.task, completed=progress_of(self.run).done)
        self.progress.stop()

    def show(self, told: RunProgress, rows: int) -> None:
        failed = f" · [red]{told.failed:,} failed[/]" if told.failed else ""
        text = f"{self.rate(told):,.0f} rows/s · batches of {rows:,}{failed}"
        self.progress.update(self.task, completed=told.done, told=text)

    def waiting(self, reason: str) -> None:
        self.progress.update(self.task, told=f"[yellow]waiting: {escape(reason.partition(chr(10))[0])}[/]")

    def held(self, run: Run) -> None:
        self.progress.update(self.task, told=f"[yellow]{escape(hold(run))}[/]")

    def note(self, words: str) -> None:
        self.progress.console.print(escape(harmless(words)))

    def idle(self, reason: str) -> None:
        self.progress.console.print(Text(reason, style="yellow"))


def rows_bar(out: TextIO) -> Progress:
    """The columns that every bar has; a task says the last of them in its field ``told``."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
        console=Console(file=out),
        expand=True,
    )
