"""The output of the loading commands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cards.packs.source import Source
from ops.bulk_load import LoadCounts, LoadPreview
from ops.formatting import pluralize, truncate

_MAX_VALUE_WIDTH = 76
_MAX_CHANGED_KEYS = 10


def preview_lines(source: Source, preview: LoadPreview, remarks: list[str], to_execute: str) -> list[str]:
    lines = [
        *_header_lines(source, preview.counts, remarks),
        *_count_lines(preview.counts, "would be created", "would be changed"),
    ]
    lines += sample_lines("", preview)
    if preview.counts.created + preview.counts.changed == 0:
        return [*lines, "", "There is nothing to do."]
    return [*lines, "", f"Nothing was written. To execute: {to_execute}"]


def result_lines(source: Source, counts: LoadCounts, remarks: list[str]) -> list[str]:
    return [*_header_lines(source, counts, remarks), *_count_lines(counts, "created", "changed")]


def generation_summary(counts: LoadCounts) -> str:
    """``100 cards created; 20 existed already.``"""
    existing = f"; {counts.unchanged:,} existed already" if counts.unchanged else ""
    return f"{pluralize(counts.created, 'card')} created{existing}."


def result_json(counts: LoadCounts, *, executed: bool, preview: LoadPreview | None = None) -> str:
    """Return one JSON object with the counts and, for a preview, the samples."""
    document: dict[str, Any] = {"executed": executed, **vars(counts)}
    if preview:
        document["samples"] = {"created": dict(preview.created), "changed": dict(preview.changed)}
    return json.dumps(document, ensure_ascii=False, default=str)


def _header_lines(source: Source, counts: LoadCounts, remarks: list[str]) -> list[str]:
    """Return the file name, the title and version of the pack, and a warning if its count is wrong."""
    title, version, count = (source.top_level.get(name) for name in ("title", "version", "count"))
    heading = " ".join(_format_value(part) for part in (title, version) if part)
    total = counts.created + counts.changed + counts.unchanged
    warning = (
        [f"  The pack declares {_format_value(count)} rows, but has {total}."]
        if count not in (None, total)
        else []
    )
    return [f"{source.path.name}: {heading}" if heading else f"{source.path.name}:", *warning, *remarks, ""]


def _count_lines(counts: LoadCounts, created: str, changed: str) -> list[str]:
    numbers = [f"{counts.created:,}", f"{counts.changed:,}", f"{counts.unchanged:,}"]
    width = max(map(len, numbers))
    labels = [created, changed, "unchanged"]
    return [f"  {number:>{width}}  {label}" for number, label in zip(numbers, labels, strict=True)]


def sample_lines(what: str, preview: LoadPreview) -> list[str]:
    """Return the first rows of a preview; ``what`` names the rows in the headings, or is empty."""
    lines = _sample_section_lines(
        f"{what} would be created".strip(), preview.created, preview.counts.created, _created_row_lines
    )
    return lines + _sample_section_lines(
        f"{what} would be changed".strip(), preview.changed, preview.counts.changed, _changed_row_lines
    )


def _sample_section_lines(
    title: str, rows: list[tuple[str, dict[str, Any]]], total: int, format_row: Any
) -> list[str]:
    if not rows:
        return []
    head = f"  {title}, the first {len(rows)} of {total:,}" if total > len(rows) else f"  {title}"
    return ["", head, *(line for key, changes in rows for line in format_row(key, changes))]


def _created_row_lines(key: str, changes: Mapping[str, Any]) -> list[str]:
    values = [_format_value(changes[name]["new"]) for name in ("title", "rarity") if name in changes]
    values = [value for value in values if value != key]
    return [f"    {_format_value(key)}  {', '.join(values)}".rstrip()]


def _changed_row_lines(key: str, changes: Mapping[str, Any]) -> list[str]:
    lines = [f"    {_format_value(key)}"]
    for column, change in changes.items():
        old, new = change.get("old"), change.get("new")
        if isinstance(old, dict) and isinstance(new, dict):
            parts = [name for name in {**old, **new} if old.get(name) != new.get(name)]
            lines += [
                f"      {column}.{_format_value(name)}:"
                f" {_format_value(old.get(name))} -> {_format_value(new.get(name))}"
                for name in parts[:_MAX_CHANGED_KEYS]
            ]
            if len(parts) > _MAX_CHANGED_KEYS:
                lines.append(f"      {column}: and {len(parts) - _MAX_CHANGED_KEYS:,} more")
        else:
            lines.append(f"      {column}: {_format_value(old)} -> {_format_value(new)}")
    return lines


def _format_value(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
    return truncate(text, _MAX_VALUE_WIDTH)
