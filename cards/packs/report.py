"""What the loading commands say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cards.packs.source import Source
from ops.bulk_load import LoadCounts, LoadPreview
from ops.formatting import truncate

_MAX_VALUE_WIDTH = 76
_MAX_CHANGED_KEYS = 10


def preview_lines(source: Source, seen: LoadPreview, remarks: list[str], to_execute: str) -> list[str]:
    lines = [
        *_header_lines(source, seen.counts, remarks),
        *_count_lines(seen.counts, "would be created", "would be changed"),
    ]
    lines += sample_lines("", seen)
    if seen.counts.created + seen.counts.changed == 0:
        return [*lines, "", "There is nothing to do."]
    return [*lines, "", f"Nothing was written. To execute: {to_execute}"]


def result_lines(source: Source, counts: LoadCounts, remarks: list[str]) -> list[str]:
    return [*_header_lines(source, counts, remarks), *_count_lines(counts, "created", "changed")]


def generation_summary(counts: LoadCounts) -> str:
    existed = f"; {counts.unchanged:,} were there before" if counts.unchanged else ""
    return f"{counts.created:,} cards created{existed}."


def result_json(counts: LoadCounts, *, executed: bool, seen: LoadPreview | None = None) -> str:
    said: dict[str, Any] = {"executed": executed, **vars(counts)}
    if seen:
        said["samples"] = {"created": dict(seen.created), "changed": dict(seen.changed)}
    return json.dumps(said, ensure_ascii=False, default=str)


def _header_lines(source: Source, counts: LoadCounts, remarks: list[str]) -> list[str]:
    """The file, what the pack says of itself, and whether it is right about its length."""
    title, version, count = (source.top_level.get(name) for name in ("title", "version", "count"))
    told = " ".join(_format_value(part) for part in (title, version) if part)
    total = counts.created + counts.changed + counts.unchanged
    doubt = (
        [f"  It says that it has {_format_value(count)} rows, but it has {total}."]
        if count not in (None, total)
        else []
    )
    return [f"{source.path.name}: {told}" if told else f"{source.path.name}:", *doubt, *remarks, ""]


def _count_lines(counts: LoadCounts, created: str, changed: str) -> list[str]:
    numbers = [f"{counts.created:,}", f"{counts.changed:,}", f"{counts.unchanged:,}"]
    width = max(map(len, numbers))
    words = [created, changed, "unchanged"]
    return [f"  {number:>{width}}  {word}" for number, word in zip(numbers, words, strict=True)]


def sample_lines(what: str, seen: LoadPreview) -> list[str]:
    """The first rows that would be created and changed; ``what`` they are, where it needs to be said."""
    lines = _sample_section_lines(
        f"{what} created".strip(), seen.created, seen.counts.created, _created_row_lines
    )
    return lines + _sample_section_lines(
        f"{what} changed".strip(), seen.changed, seen.counts.changed, _changed_row_lines
    )


def _sample_section_lines(
    title: str, rows: list[tuple[str, dict[str, Any]]], total: int, render: Any
) -> list[str]:
    if not rows:
        return []
    head = f"  {title}, the first {len(rows)} of {total:,}" if total > len(rows) else f"  {title}"
    return ["", head, *(line for key, changes in rows for line in render(key, changes))]


def _created_row_lines(key: str, changes: Mapping[str, Any]) -> list[str]:
    told = [_format_value(changes[name]["new"]) for name in ("title", "rarity") if name in changes]
    told = [text for text in told if text != key]
    return [f"    {_format_value(key)}  {', '.join(told)}".rstrip()]


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
