"""The rows of a CSV file with a header, one at a time."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from cards.packs.errors import BadValue, RefusedPack

_LARGEST_CELL = 16 << 20


class CsvSource:
    """A pack as CSV. An empty cell is a value not given; spreadsheets in Spanish write ``;`` for ``,``."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.top: dict[str, Any] = {}
        self._file = file

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        csv.field_size_limit(_LARGEST_CELL)
        first = self._file.readline()
        if not first.strip():
            raise RefusedPack("the file has no header line." if first else "the file is empty.")
        delimiter = max(",;\t", key=first.count)
        header = _header(next(csv.reader([first], delimiter=delimiter)))
        yield from self._rows(header, csv.reader(self._file, delimiter=delimiter, strict=True))

    def where(self, place: int) -> str:
        return f"line {place}"

    def _rows(self, header: list[str], reader: Any) -> Iterator[tuple[int, Any]]:
        line = 2
        try:
            for cells in reader:
                if cells:
                    yield line, _row(header, cells)
                line = reader.line_num + 2
        except csv.Error as exc:
            raise RefusedPack(f"not CSV: {exc} in the row that begins at line {line}.") from exc


def _header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if "" in names:
        raise RefusedPack(f"column {names.index('') + 1} of the header has no name.")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise RefusedPack(f"the header names a column twice: {', '.join(doubled)}.")
    return names


def _row(header: list[str], cells: list[str]) -> dict[str, Any] | BadValue:
    if len(cells) != len(header):
        return BadValue(f"has {len(cells)} cells, the header has {len(header)}")
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}
