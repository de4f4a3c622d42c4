"""The progress bar of a run, for a terminal."""

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
            f"Run {run.pk}",
            total=self.initial_progress.total,
            completed=self.initial_progress.done,
            details="",
        )

    def __enter__(self) -> BarReporter:
        self.progress.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:  # The last batches came after the last update.
            last = read_progress(self.run)
            self.progress.update(self.task, completed=last.done, total=last.total, details="")
        self.progress.stop()

    def show(self, progress: RunProgress, rows: int) -> None:
        failed = f" · [red]{progress.failed:,} failed[/]" if progress.failed else ""
        is_sweeping = progress.done >= progress.total
        rate = "checking for remaining rows" if is_sweeping else f"{self.rate(progress):,.0f} rows/s"
        details = f"{rate} · batches of {rows:,}{failed}"
        self.progress.update(self.task, completed=progress.done, total=progress.total, details=details)

    def on_retry(self, reason: str) -> None:
        self._show_warning(f"waiting: {reason.partition(chr(10))[0]}")

    def on_hold(self, run: Run) -> None:
        self._show_warning("\n".join([format_hold(run), *map(str, hold_override_steps(run))]))

    def idle(self, reason: str) -> None:
        self._show_warning(reason)

    def _show_warning(self, text: str) -> None:
        self.progress.update(self.task, details=f"[yellow]{escape(escape_control_chars(text))}[/]")

    def on_note(self, message: str) -> None:
        self.progress.console.print(escape(escape_control_chars(message)))


class RowProgressBar(Progress):
    """A progress bar that counts rows. Below it stands its task's field ``details``, never truncated."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if details := task.fields["details"]:
                yield Padding(Text.from_markup(details), (0, 0, 0, 2))


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
