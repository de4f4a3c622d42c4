"""Those who watch a run at work: plain lines, JSON lines."""

from __future__ import annotations

import json
from time import monotonic
from typing import Any, TextIO

from ops import words
from ops.engine.size import BatchSize
from ops.models import Run
from ops.patience import LIMIT
from ops.progress import Progress, progress_of
from ops.report.document import document
from ops.report.run import hold, past_the_hold
from ops.report.run_json import hold_json, progress_json
from ops.words import harmless


class Watcher:
    """Looks at the run at most once in ``interval`` seconds; entered before the run works, left after."""

    interval = 2.0

    def __init__(self, run: Run, out: TextIO) -> None:
        self.out = out
        self.first = progress_of(run)
        self.began = self.looked = monotonic()
        self.waited_for: str | None = None

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        pass

    def batch(self, run: Run, size: BatchSize) -> None:
        self.waited_for = None
        if monotonic() - self.looked >= self.interval:
            self.looked = monotonic()
            self.show(progress_of(run), size.rows)

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


class Lines(Watcher):
    """One line every two seconds, for a log."""

    def show(self, told: Progress, rows: int) -> None:
        left = words.left(told.total - told.done, self.rate(told))
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
            print(f"waiting, for {words.duration(LIMIT)} at most: {first}", file=self.out, flush=True)

    def idle(self, reason: str) -> None:
        print(reason, file=self.out, flush=True)

    def held(self, run: Run) -> None:
        indicator, minute = run.held_reason.partition(":")[0], int(monotonic() - self.began) // 60
        if (told := f"{indicator}, {minute}") != self.waited_for:  # now and then
            self.waited_for = told
            for line in (f"run {run.pk}: {hold(run)}", *past_the_hold(run)):
                self.note(str(line))

    def note(self, words: str) -> None:
        print(harmless(words), file=self.out, flush=True)


class JsonLines(Watcher):
    """One JSON object a second, for a machine."""

    interval = 1.0

    def show(self, told: Progress, rows: int) -> None:
        self.tell("progress", **progress_json(told), rate=round(self.rate(told)), batch_size=rows)

    def waiting(self, reason: str) -> None:
        self.tell("waiting", reason=reason)

    def idle(self, reason: str) -> None:
        self.waiting(reason)

    def held(self, run: Run) -> None:
        if (until := str(run.held_until)) != self.waited_for:  # once a hold
            self.waited_for = until
            self.tell("held", **hold_json(run), next=[step._asdict() for step in past_the_hold(run)])

    def note(self, words: str) -> None:
        self.tell("note", note=words)

    def tell(self, event: str, **facts: Any) -> None:
        print(json.dumps(document(event, **facts)), file=self.out, flush=True)
