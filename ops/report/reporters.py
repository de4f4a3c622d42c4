"""Those who watch a run at work: plain lines, JSON lines."""

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
    """Looks at the run at most once in ``interval`` seconds; entered before the run works, left after."""

    interval = 2.0

    def __init__(self, run: Run, out: TextIO) -> None:
        self.out = out
        self.first = read_progress(run)
        self.began = self.looked = monotonic()
        self.waited_for: str | None = None

    def __enter__(self) -> ProgressReporter:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        pass

    def batch(self, run: Run, size: BatchSize) -> None:
        self.waited_for = None
        if monotonic() - self.looked >= self.interval:
            self.looked = monotonic()
            self.show(read_progress(run), size.rows)

    def waiting(self, reason: str) -> None:
        raise NotImplementedError

    def held(self, run: Run) -> None:
        raise NotImplementedError

    def note(self, words: str) -> None:
        raise NotImplementedError

    def idle(self, reason: str) -> None:
        """Told when nothing moves, and why."""
        raise NotImplementedError

    def show(self, told: Progress, rows: int) -> None:
        """``rows`` are in a batch now."""
        raise NotImplementedError

    def rate(self, told: Progress) -> float:
        """Rows a second since this process began to watch."""
        return (told.done - self.first.done) / max(monotonic() - self.began, 0.001)


class LineReporter(ProgressReporter):
    """One line every two seconds, for a log."""

    def show(self, told: Progress, rows: int) -> None:
        left = format_time_left(told.total - told.done, self.rate(told))
        share = 100 * told.done / told.total if told.total else 100
        failed = f", {told.failed:,} failed" if told.failed else ""
        line = f"run {told.run}: {told.changed:,} of {told.total:,} ({share:.0f} %){failed}"
        print(
            f"{line}, {self.rate(told):,.0f} rows/s, {left}, batches of {rows:,}",
            file=self.out,
            flush=True,
        )

    def waiting(self, reason: str) -> None:
        if reason != self.waited_for:  # once, not at every try
            self.waited_for = reason
            first = reason.partition("\n")[0]
            print(
                f"waiting, for {format_duration(RETRY_TIMEOUT)} at most: {first}",
                file=self.out,
                flush=True,
            )

    def idle(self, reason: str) -> None:
        print(reason, file=self.out, flush=True)

    def held(self, run: Run) -> None:
        indicator, minute = run.held_reason.partition(":")[0], int(monotonic() - self.began) // 60
        if (told := f"{indicator}, {minute}") != self.waited_for:  # now and then
            self.waited_for = told
            for line in (f"run {run.pk}: {format_hold(run)}", *hold_override_steps(run)):
                self.note(str(line))

    def note(self, words: str) -> None:
        print(escape_control_chars(words), file=self.out, flush=True)


class JsonLinesReporter(ProgressReporter):
    """One JSON object a second, for a machine."""

    interval = 1.0

    def show(self, told: Progress, rows: int) -> None:
        self.write_event("progress", **progress_json(told), rate=round(self.rate(told)), batch_size=rows)

    def waiting(self, reason: str) -> None:
        self.write_event("waiting", reason=reason)

    def idle(self, reason: str) -> None:
        self.waiting(reason)

    def held(self, run: Run) -> None:
        if (until := str(run.held_until)) != self.waited_for:  # once a hold
            self.waited_for = until
            self.write_event(
                "held", **hold_json(run), next=[step._asdict() for step in hold_override_steps(run)]
            )

    def note(self, words: str) -> None:
        self.write_event("note", note=words)

    def write_event(self, event: str, **facts: Any) -> None:
        print(json.dumps(build_document(event, **facts)), file=self.out, flush=True)
