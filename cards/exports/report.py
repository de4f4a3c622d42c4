"""What import_json says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cards.packs.report import samples
from ops.export.summary import Export
from ops.report.export import title
from ops.report.table import aligned
from ops.upsert import Counts, Preview

_WORDS = {"presentation_rules": "presentation rules", "audit_logs": "audit rows"}
_TAKEN_OVER = "The database is empty: rows keep their times, and the audit log is the export's."
_KEYS = "The database is empty: rows keep their ids and times, and the audit log is the export's."
_MERGED = "The database is in use: rows are merged, and what changes is audited as this import's."


def preview_lines(export: Export, empty: bool, seen: Mapping[str, Preview], to_execute: str) -> list[str]:
    counts = {part: preview.counts for part, preview in seen.items()}
    lines = [*_head(export, empty), *_table(counts, "to create", "to change")]
    if not empty:
        for part, preview in seen.items():
            lines += samples(_words(part), preview)
    if not any(count.created or count.changed for count in counts.values()):
        return [*lines, "", "There is nothing to do."]
    return [*lines, "", f"Nothing was written. To execute: {to_execute}"]


def done_lines(export: Export, empty: bool, counts: Mapping[str, Counts]) -> list[str]:
    return [*_head(export, empty), *_table(counts, "created", "changed")]


def as_json(empty: bool, counts: Mapping[str, Counts], *, executed: bool) -> str:
    files: dict[str, Any] = {part: vars(count) for part, count in counts.items()}
    return json.dumps({"event": "imported" if executed else "preview", "merged": not empty, "files": files})


def _head(export: Export, empty: bool) -> list[str]:
    kept = _KEYS if export.is_ours else _TAKEN_OVER
    return [title(export), kept if empty else _MERGED, ""]


def _table(counts: Mapping[str, Counts], created: str, changed: str) -> list[str]:
    rows = [["", created, changed, "unchanged"]]
    rows += [
        [f"  {_words(part)}", *(f"{number:,}" for number in (count.created, count.changed, count.unchanged))]
        for part, count in counts.items()
    ]
    return aligned(rows)


def _words(part: str) -> str:
    return _WORDS.get(part, part)
