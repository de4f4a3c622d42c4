"""Rows of words in columns."""

from __future__ import annotations

from collections.abc import Collection


def format_table(table: list[list[str]], right: Collection[str] = ()) -> list[str]:
    """The first row is the head; the columns that it names in ``right`` are set to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    to_right = [name in right for name in table[0]]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, to_right, strict=True)
        ).rstrip()
        for row in table
    ]


def truncate(text: str, width: int = 100) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
