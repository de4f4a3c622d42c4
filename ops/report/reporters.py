"""Reporters of a run's progress: plain lines and JSON lines."""

from __future__ import annotations

import json
from time import monotonic
from typing import Any, TextIO

from ops.engine.batch_size import BatchSize
from ops.formatting import escape_control_chars, format_duration, format_time_left
from ops.models import Run
from ops.report.document import build_document
from ops.report.run import format_hold, hold_override_steps
from ops.report.run_json import hold_json, progress_json
from ops.retries import RETRY_TIMEOUT
from ops.runs.progress import Progress, read_progress


class ProgressReporter:
    """Shows the progress of a run at most once per ``interval`` seconds.

    It is a context manager, entered before the run's first batch and left after its last.
    """

    interval = 2.0

    def __init__(self, run: Run, out: TextIO) -> None:
        self.out = out
        self.initial_progress = read_progress(run)
        self.started = self.last_shown = monotonic()
        self.last_reason: str | None = None

    def __enter__(self) -> ProgressReporter:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        pass

    def on_batch(self, run: Run, size: BatchSize) -> None:
        self.last_reason = None
        if monotonic() - self.last_shown >= self.interval:
            self.last_shown = monotonic()
            self.show(read_progress(run), size.rows)

    def on_retry(self, reason: str) -> None:
        """Report that the database is unavailable, and why."""
        raise NotImplementedError

    def on_hold(self, run: Run) -> None:
        """Report that the run is held, until when and by what."""
        raise NotImplementedError

    def on_note(self, message: str) -> None:
        raise NotImplementedError

    def idle(self, reason: str) -> None:
        """Report that the run makes no progress, and why."""
        raise NotImplementedError

    def show(self, progress: Progress, rows: int) -> None:
        """Report the progress. ``rows`` is the current batch size."""
        raise NotImplementedError

    def rate(self, progress: Progress) -> float:
        """Return rows per second since this reporter was created."""
        return (progress.done - self.initial_progress.done) / max(monotonic() - self.started, 0.001)


class LineReporter(ProgressReporter):
    """One line every two seconds, for a log."""

    def show(self, progress: Progress, rows: int) -> None:
        left = format_time_left(progress.total - progress.done, self.rate(progress))
        percent = 100 * progress.done / progress.total if progress.total else 100
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        line = f"run {progress.run}: {progress.changed:,} of {progress.total:,} ({percent:.0f} %){failed}"
        print(
            f"{line}, {self.rate(progress):,.0f} rows/s, {left}, batches of {rows:,}",
            file=self.out,
            flush=True,
        )

    def on_retry(self, reason: str) -> None:
        if reason != self.last_reason:  # once, not at every retry
            self.last_reason = reason
            first = reason.partition("\n")[0]
            print(
                f"waiting, at most {format_duration(RETRY_TIMEOUT)}: {first}",
                file=self.out,
                flush=True,
            )

    def idle(self, reason: str) -> None:
        print(reason, file=self.out, flush=True)

    def on_hold(self, run: Run) -> None:
        indicator, minute = run.held_reason.partition(":")[0], int(monotonic() - self.started) // 60
        if (reason := f"{indicator}, {minute}") != self.last_reason:  # once a minute
            self.last_reason = reason
            for line in (f"run {run.pk}: {format_hold(run)}", *hold_override_steps(run)):
                self.on_note(str(line))

    def on_note(self, message: str) -> None:
        print(escape_control_chars(message), file=self.out, flush=True)


class JsonLinesReporter(ProgressReporter):
    """One JSON object per second, for programs."""

    interval = 1.0

    def show(self, progress: Progress, rows: int) -> None:
        rate = round(self.rate(progress))
        self.write_event("progress", **progress_json(progress), rate=rate, batch_size=rows)

    def on_retry(self, reason: str) -> None:
        self.write_event("waiting", reason=reason)

    def idle(self, reason: str) -> None:
        self.on_retry(reason)

    def on_hold(self, run: Run) -> None:
        if (until := str(run.held_until)) != self.last_reason:  # once per hold
            self.last_reason = until
            self.write_event(
                "held", **hold_json(run), next=[step._asdict() for step in hold_override_steps(run)]
            )

    def on_note(self, message: str) -> None:
        self.write_event("note", note=message)

    def write_event(self, event: str, **facts: Any) -> None:
        print(json.dumps(build_document(event, **facts)), file=self.out, flush=True)
