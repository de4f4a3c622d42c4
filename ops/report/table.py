"""Plain-text tables."""

from __future__ import annotations

from collections.abc import Collection


def format_table(table: list[list[str]], right: Collection[str] = ()) -> list[str]:
    """Return the lines of the table. The first row is the header; columns named in ``right`` align right."""
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    aligned_right = [name in right for name in table[0]]
    return [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, aligned_right, strict=True)
        ).rstrip()
        for row in table
    ]
