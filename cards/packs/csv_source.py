"""The reader of CSV packs: rows one at a time, as written by people and spreadsheets."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from cards.packs.errors import BadValue, InvalidPack
from cards.packs.exported import has_exported_columns, parse_exported_cells
from ops.formatting import truncate

_MAX_CELL_LENGTH = 16 << 20
_DELIMITERS = ",;\t"
_CONTENT_PATTERN = re.compile(rf'[^{_DELIMITERS}"\s]')
# Excel's line before the header that names the delimiter.
_SEP_LINE_PATTERN = re.compile(rf'"?sep=(.)"?[{_DELIMITERS}]*\s*', re.IGNORECASE)
_MAX_LISTED_NAMES = 8


class CsvSource:
    """A pack as CSV. An empty cell is a missing value; the delimiter is ``,``, ``;`` or a tab.

    In a file that KYNDO exported an empty cell is an empty text, and neutralised cells are restored.

    Additions of spreadsheets are ignored: a first line ``sep=;``, lines that consist of delimiters, and empty
    columns without a name at the end of the lines.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.top_level: dict[str, Any] = {}
        self._file = file

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        csv.field_size_limit(_MAX_CELL_LENGTH)
        skipped, delimiter = self._detect_header()
        rows = self._iter_filled_rows(skipped, delimiter)
        _, header = next(rows, (0, None))
        if header is None:
            raise InvalidPack("the file has no header line.")
        names = _column_names(header)
        parse_cells = parse_exported_cells if has_exported_columns(names) else _parse_cells
        for line, cells in rows:
            yield line, _length_error(names, cells) or parse_cells(names, cells)

    def row_label(self, position: int) -> str:
        return f"line {position}"

    def _detect_header(self) -> tuple[int, str]:
        """Return the number of lines before the header, and the delimiter."""
        self._file.seek(0)
        line = self._file.readline()
        if not line:
            raise InvalidPack("the file is empty.")
        if match := _SEP_LINE_PATTERN.fullmatch(line):
            return 1, match[1]
        skipped = 0
        while line and not _CONTENT_PATTERN.search(line):
            line = self._file.readline()
            skipped += 1
        return skipped, max(_DELIMITERS, key=lambda char: _count_cells(line, char))

    def _iter_filled_rows(self, skipped: int, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the header and the rows that are not empty, each with the number of its first line."""
        self._file.seek(0)
        for _ in range(skipped):
            self._file.readline()
        reader, line = csv.reader(self._file, delimiter=delimiter, strict=True), skipped + 1
        try:
            for cells in reader:
                if _has_content(cells):
                    yield line, cells
                line = skipped + reader.line_num + 1
        except csv.Error as exc:
            reason = f"a cell has more than {_MAX_CELL_LENGTH:,} characters" if "limit" in str(exc) else exc
            raise InvalidPack(f"not CSV: {reason} in the row that begins at line {line}.") from exc


def _count_cells(line: str, delimiter: str) -> int:
    """Count the cells of a line, with quotes respected."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:  # one cell that is too long
        return 0


def _column_names(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    while names[-1] == "":
        names.pop()
    if "" in names:
        raise InvalidPack(f"column {names.index('') + 1} of the header has no name.")
    duplicates = [truncate(name) for name, count in Counter(names).items() if count > 1]
    if duplicates:
        more = (
            f" and {len(duplicates) - _MAX_LISTED_NAMES} more" if len(duplicates) > _MAX_LISTED_NAMES else ""
        )
        raise InvalidPack(
            f"the header names a column twice: {', '.join(islice(duplicates, _MAX_LISTED_NAMES))}{more}."
        )
    return names


def _length_error(names: list[str], cells: list[str]) -> BadValue | None:
    if len(cells) < len(names) or _has_content(cells[len(names) :]):
        return BadValue(f"has {len(cells)} cells, the header has {len(names)}")
    return None


def _parse_cells(names: list[str], cells: list[str]) -> dict[str, Any]:
    return {name: cell for name, cell in zip(names, cells, strict=False) if cell != ""}


def _has_content(cells: list[str]) -> bool:
    return any(cell and not cell.isspace() for cell in cells)
