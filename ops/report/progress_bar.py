"""The live bar of a run, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ops.formatting import escape_control_chars
from ops.models import Run
from ops.report.reporters import ProgressReporter
from ops.report.run import format_hold, hold_override_steps
from ops.runs.progress import Progress as RunProgress
from ops.runs.progress import read_progress


class BarReporter(ProgressReporter):
    interval = 0.1

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self.run = run
        self.progress = create_row_progress_bar(out)
        self.task = self.progress.add_task(
            f"Run {run.pk}", total=self.first.total, completed=self.first.done, told=""
        )

    def __enter__(self) -> BarReporter:
        self.progress.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:  # The last batches came after the last look.
            last = read_progress(self.run)
            self.progress.update(self.task, completed=last.done, total=last.total, told="")
        self.progress.stop()

    def show(self, told: RunProgress, rows: int) -> None:
        failed = f" · [red]{told.failed:,} failed[/]" if told.failed else ""
        pace = f"{self.rate(told):,.0f} rows/s" if told.done < told.total else "checking the rest"
        text = f"{pace} · batches of {rows:,}{failed}"
        self.progress.update(self.task, completed=told.done, total=told.total, told=text)

    def waiting(self, reason: str) -> None:
        self._warn(f"waiting: {reason.partition(chr(10))[0]}")

    def held(self, run: Run) -> None:
        self._warn("\n".join([format_hold(run), *map(str, hold_override_steps(run))]))

    def idle(self, reason: str) -> None:
        self._warn(reason)

    def _warn(self, reason: str) -> None:
        self.progress.update(self.task, told=f"[yellow]{escape(escape_control_chars(reason))}[/]")

    def note(self, words: str) -> None:
        self.progress.console.print(escape(escape_control_chars(words)))


class RowProgressBar(Progress):
    """A bar of rows, and beneath it, in full on any width, what its task says in the field ``told``."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if told := task.fields["told"]:
                yield Padding(Text.from_markup(told), (0, 0, 0, 2))


def create_row_progress_bar(out: TextIO) -> RowProgressBar:
    return RowProgressBar(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=out),
        expand=True,
    )
