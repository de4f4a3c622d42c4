"""Cells of CSV files that people open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO

# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
# It makes spreadsheets read the file as UTF-8.
BYTE_ORDER_MARK = "\ufeff"


def format_rows(rows: Iterable[Iterable[str]]) -> str:
    """Return lines of CSV. A cell that a spreadsheet would run gets an apostrophe before it."""
    text = StringIO()
    csv.writer(text).writerows([neutralise(cell) for cell in row] for row in rows)
    return text.getvalue()


def neutralise(cell: str) -> str:
    """Return the cell as it is, or with an apostrophe, which a spreadsheet takes for the mark of a text."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
