"""What the loading commands say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cards.packs.source import Source
from ops.upsert import Counts, Preview
from ops.words import cut

_WIDTH = 76
_PARTS = 10


def preview_lines(source: Source, seen: Preview, remarks: list[str], to_execute: str) -> list[str]:
    lines = [
        *_head(source, seen.counts, remarks),
        *_counts(seen.counts, "would be created", "would be changed"),
    ]
    lines += samples("", seen)
    if seen.counts.created + seen.counts.changed == 0:
        return [*lines, "", "There is nothing to do."]
    return [*lines, "", f"Nothing was written. To execute: {to_execute}"]


def done_lines(source: Source, counts: Counts, remarks: list[str]) -> list[str]:
    return [*_head(source, counts, remarks), *_counts(counts, "created", "changed")]


def generated(counts: Counts) -> str:
    existed = f"; {counts.unchanged:,} were there before" if counts.unchanged else ""
    return f"{counts.created:,} cards created{existed}."


def as_json(counts: Counts, *, executed: bool, seen: Preview | None = None) -> str:
    said: dict[str, Any] = {"executed": executed, **vars(counts)}
    if seen:
        said["samples"] = {"created": dict(seen.created), "changed": dict(seen.changed)}
    return json.dumps(said, ensure_ascii=False, default=str)


def _head(source: Source, counts: Counts, remarks: list[str]) -> list[str]:
    """The file, what the pack says of itself, and whether it is right about its length."""
    title, version, count = (source.top.get(name) for name in ("title", "version", "count"))
    told = " ".join(_show(part) for part in (title, version) if part)
    total = counts.created + counts.changed + counts.unchanged
    doubt = (
        [f"  It says that it has {_show(count)} rows, but it has {total}."]
        if count not in (None, total)
        else []
    )
    return [f"{source.path.name}: {told}" if told else f"{source.path.name}:", *doubt, *remarks, ""]


def _counts(counts: Counts, created: str, changed: str) -> list[str]:
    numbers = [f"{counts.created:,}", f"{counts.changed:,}", f"{counts.unchanged:,}"]
    width = max(map(len, numbers))
    words = [created, changed, "unchanged"]
    return [f"  {number:>{width}}  {word}" for number, word in zip(numbers, words, strict=True)]


def samples(what: str, seen: Preview) -> list[str]:
    """The first rows that would be created and changed; ``what`` they are, where it needs to be said."""
    lines = _samples(f"{what} created".strip(), seen.created, seen.counts.created, _created)
    return lines + _samples(f"{what} changed".strip(), seen.changed, seen.counts.changed, _changed)


def _samples(title: str, rows: list[tuple[str, dict[str, Any]]], total: int, render: Any) -> list[str]:
    if not rows:
        return []
    head = f"  {title}, the first {len(rows)} of {total:,}" if total > len(rows) else f"  {title}"
    return ["", head, *(line for key, changes in rows for line in render(key, changes))]


def _created(key: str, changes: Mapping[str, Any]) -> list[str]:
    told = [_show(changes[name]["new"]) for name in ("title", "rarity") if name in changes]
    told = [text for text in told if text != key]
    return [f"    {_show(key)}  {', '.join(told)}".rstrip()]


def _changed(key: str, changes: Mapping[str, Any]) -> list[str]:
    lines = [f"    {_show(key)}"]
    for column, change in changes.items():
        old, new = change.get("old"), change.get("new")
        if isinstance(old, dict) and isinstance(new, dict):
            parts = [name for name in {**old, **new} if old.get(name) != new.get(name)]
            lines += [
                f"      {column}.{_show(name)}: {_show(old.get(name))} -> {_show(new.get(name))}"
                for name in parts[:_PARTS]
            ]
            if len(parts) > _PARTS:
                lines.append(f"      {column}: and {len(parts) - _PARTS:,} more")
        else:
            lines.append(f"      {column}: {_show(old)} -> {_show(new)}")
    return lines


def _show(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
    return cut(text, _WIDTH)
