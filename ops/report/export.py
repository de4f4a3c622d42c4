"""What an export says of itself when it is done."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from ops.export.summary import Summary
from ops.report import words
from ops.report.table import aligned


def done_lines(summary: Summary, target: Path, to_check: str) -> list[str]:
    taken = datetime.fromisoformat(summary.exported_at)
    duration = words.duration(timedelta(seconds=summary.seconds))
    table = [
        [f"  {summary.form.file_name(part)}", f"{written.rows:,} rows", words.size(written.bytes)]
        for part, written in summary.files.items()
    ]
    return [
        f"Exported to {target} in {duration}, as it was at {taken:%Y-%m-%d %H:%M:%S} UTC:",
        "",
        *aligned(table),
        "",
        f"To check it: {to_check}",
    ]
