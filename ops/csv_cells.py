"""Cells of CSV files that people open in a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from io import StringIO

# Note [An apostrophe marks what a spreadsheet would run]
# A spreadsheet takes a cell that begins so for a formula, and runs it. It gets an apostrophe, which marks a
# text there. So that the cell can be read back, a cell that looks marked already gets another. The pattern
# means the same to Python and to PostgreSQL, which writes the cells of an export.
FORMULA_PATTERN = r"^'*[=+@\t\r\n-]"
MARK = "'"
_FORMULA = re.compile(FORMULA_PATTERN)
# It makes spreadsheets read the file as UTF-8.
BYTE_ORDER_MARK = "\ufeff"


def format_rows(rows: Iterable[Iterable[str]]) -> str:
    """Return lines of CSV. A cell that a spreadsheet would run gets an apostrophe before it."""
    text = StringIO()
    csv.writer(text).writerows([neutralise(cell) for cell in row] for row in rows)
    return text.getvalue()


def neutralise(cell: str) -> str:
    """Return the cell as it is, or with an apostrophe, which a spreadsheet takes for the mark of a text."""
    return MARK + cell if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """Return what was neutralised: a cell without its mark."""
    return cell.removeprefix(MARK) if _FORMULA.match(cell) else cell
