"""Rows of KYNDO's own exports, which are packs too. They have the columns that it writes itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ops.csv_cells import restore

# Columns that an export has for each row and that packs do not have.
GENERATED_COLUMNS = ("id", "created_at", "updated_at")
# A card or a rule; packs have other names for them.
_KEYS = frozenset({"card_id", "frame_color"})
# Two of them tell an export: in a spreadsheet the others may be removed.
_MARKS = frozenset({*GENERATED_COLUMNS, "rarity_v2", "thumbnail"})
# What an empty cell means, which is the empty text in other columns; None: not given.
_EMPTY_CELLS: dict[str, Any] = {"rarity_v2": None, "tags": [], "metadata": {}}


def has_exported_columns(names: Collection[str]) -> bool:
    """Whether these are the columns of an export, whose cells are neutralised in CSV."""
    return not _KEYS.isdisjoint(names) and len(_MARKS.intersection(names)) > 1


def parse_exported_cells(names: list[str], cells: list[str]) -> dict[str, Any]:
    """Return a row of an exported CSV file. In a spreadsheet a row may be added, whose id is empty."""
    return {
        name: restore(cell) if cell else _EMPTY_CELLS.get(name, "")
        for name, cell in zip(names, cells, strict=False)
    }


def is_exported_row(raw: dict[str, Any]) -> bool:
    """Return whether the row is from KYNDO's own export, whose keys are the table's columns."""
    key = raw.get("id", "")
    is_key = type(key) is int or (isinstance(key, str) and (not key or key.isdecimal()))
    return is_key and has_exported_columns(raw)


def drop_generated_columns(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the row without the columns that KYNDO writes itself, if it is an exported one."""
    if not is_exported_row(raw):
        return raw
    return {name: value for name, value in raw.items() if name not in GENERATED_COLUMNS}
