"""The output of import_json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cards.packs.report import sample_lines
from ops.bulk_load import LoadCounts, LoadPreview
from ops.export.summary import ExportFolder
from ops.report.export import format_export_title
from ops.report.table import format_table

_PART_LABELS = {"presentation_rules": "presentation rules", "audit_logs": "audit rows"}
_COPY_MESSAGE = "The database is empty: rows keep their times, and the audit log is taken from the export."
_COPY_WITH_IDS_MESSAGE = (
    "The database is empty: rows keep their ids and times, and the audit log is taken from the export."
)
_MERGE_MESSAGE = "The database is not empty: rows are merged, and the changes are recorded in the audit log."


def preview_lines(
    export: ExportFolder, empty: bool, previews: Mapping[str, LoadPreview], to_execute: str
) -> list[str]:
    counts = {part: preview.counts for part, preview in previews.items()}
    lines = [*_header_lines(export, empty), *_count_table_lines(counts, "to create", "to change")]
    if not empty:
        for part, preview in previews.items():
            lines += sample_lines(_part_label(part), preview)
    if not any(count.created or count.changed for count in counts.values()):
        return [*lines, "", "There is nothing to do."]
    return [*lines, "", f"Nothing was written. To execute: {to_execute}"]


def result_lines(export: ExportFolder, empty: bool, counts: Mapping[str, LoadCounts]) -> list[str]:
    return [*_header_lines(export, empty), *_count_table_lines(counts, "created", "changed")]


def result_json(empty: bool, counts: Mapping[str, LoadCounts], *, executed: bool) -> str:
    """Return one JSON object with the counts of each file."""
    files: dict[str, Any] = {part: vars(count) for part, count in counts.items()}
    return json.dumps({"event": "imported" if executed else "preview", "merged": not empty, "files": files})


def _header_lines(export: ExportFolder, empty: bool) -> list[str]:
    copy_message = _COPY_WITH_IDS_MESSAGE if export.is_ours else _COPY_MESSAGE
    return [format_export_title(export), copy_message if empty else _MERGE_MESSAGE, ""]


def _count_table_lines(counts: Mapping[str, LoadCounts], created: str, changed: str) -> list[str]:
    rows = [["", created, changed, "unchanged"]]
    rows += [
        [
            f"  {_part_label(part)}",
            *(f"{number:,}" for number in (count.created, count.changed, count.unchanged)),
        ]
        for part, count in counts.items()
    ]
    return format_table(rows)


def _part_label(part: str) -> str:
    return _PART_LABELS.get(part, part)
