"""The progress of a transfer of rows, as plain lines, a bar, or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from ops.export.progress import TransferProgress
from ops.formatting import format_duration, format_size, pluralize


class LineProgress(TransferProgress):
    def show(self, name: str) -> None:
        parts = [pluralize(self.rows, "row"), f"now {name}", f"{format_size(round(self.bytes_per_second))}/s"]
        if self.total:
            parts[0] = f"{self.rows:,} of {self.total:,} rows ({100 * self.rows / self.total:.0f} %)"
            parts.append(f"{format_duration(timedelta(seconds=self.seconds_left))} left")
        print(", ".join(parts), flush=True)


class JsonProgress(TransferProgress):
    interval = 1.0

    def show(self, name: str) -> None:
        document = {
            "event": "progress",
            "file": name,
            "rows": self.rows,
            "total": self.total or None,
            "bytes": self.bytes,
            "rate": round(self.bytes_per_second),
            "seconds_left": round(self.seconds_left, 1) if self.total else None,
        }
        print(json.dumps(document), flush=True)


class BarProgress(TransferProgress):
    interval = 0.1

    @contextmanager
    def tracking(self, total: int) -> Iterator[None]:
        from ops.report.progress_bar import create_row_progress_bar  # rich takes 0.1 s to import

        with super().tracking(total), create_row_progress_bar(sys.stdout) as self.bar:
            self.task = self.bar.add_task("", total=total or None, details="")
            yield
            self.bar.update(self.task, completed=self.rows, total=self.total or None)

    def show(self, name: str) -> None:
        rate = f"{format_size(round(self.bytes_per_second))}/s"
        self.bar.update(
            self.task, description=name, completed=self.rows, total=self.total or None, details=rate
        )


def create_transfer_progress(as_json: bool) -> TransferProgress:
    """Choose JSON lines, or a bar on a terminal and plain lines elsewhere."""
    if as_json:
        return JsonProgress()
    return BarProgress() if sys.stdout.isatty() else LineProgress()
