"""The rows of a CSV file with a header, one at a time, as people and spreadsheets write them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from cards.packs.errors import BadValue, RefusedPack
from ops.words import cut

_LARGEST_CELL = 16 << 20
_DELIMITERS = ",;\t"
_CONTENT = re.compile(rf'[^{_DELIMITERS}"\s]')
# What Excel writes, or is told, before the header.
_SEPARATOR = re.compile(rf'"?sep=(.)"?[{_DELIMITERS}]*\s*', re.IGNORECASE)
_SHOWN = 8


class CsvSource:
    """A pack as CSV. An empty cell is a value not given; spreadsheets in Spanish write ``;`` for ``,``.

    What a spreadsheet adds is no content: a first line ``sep=;``, lines of nothing but delimiters, and
    columns at the end of every line that have no name and hold nothing.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.top: dict[str, Any] = {}
        self._file = file

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        csv.field_size_limit(_LARGEST_CELL)
        before, delimiter = self._beginning()
        rows = self._filled(before, delimiter)
        _, header = next(rows, (0, None))
        if header is None:
            raise RefusedPack("the file has no header line.")
        names = _names(header)
        for line, cells in rows:
            yield line, _row(names, cells)

    def where(self, place: int) -> str:
        return f"line {place}"

    def _beginning(self) -> tuple[int, str]:
        """How many lines come before the header, and what stands between its cells."""
        self._file.seek(0)
        line = self._file.readline()
        if not line:
            raise RefusedPack("the file is empty.")
        if told := _SEPARATOR.fullmatch(line):
            return 1, told[1]
        before = 0
        while line and not _CONTENT.search(line):
            line = self._file.readline()
            before += 1
        return before, max(_DELIMITERS, key=lambda char: _count(line, char))

    def _filled(self, before: int, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """The header, then the rows that hold something, each with the line on which it begins."""
        self._file.seek(0)
        for _ in range(before):
            self._file.readline()
        reader, line = csv.reader(self._file, delimiter=delimiter, strict=True), before + 1
        try:
            for cells in reader:
                if _holds_something(cells):
                    yield line, cells
                line = before + reader.line_num + 1
        except csv.Error as exc:
            reason = f"a cell has more than {_LARGEST_CELL:,} characters" if "limit" in str(exc) else exc
            raise RefusedPack(f"not CSV: {reason} in the row that begins at line {line}.") from exc


def _count(line: str, delimiter: str) -> int:
    """How many cells a line has; a delimiter within quotes stands between none."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:  # one cell, too long to be one
        return 0


def _names(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    while names[-1] == "":
        names.pop()
    if "" in names:
        raise RefusedPack(f"column {names.index('') + 1} of the header has no name.")
    doubled = [cut(name) for name, count in Counter(names).items() if count > 1]
    if doubled:
        more = f" and {len(doubled) - _SHOWN} more" if len(doubled) > _SHOWN else ""
        raise RefusedPack(f"the header names a column twice: {', '.join(islice(doubled, _SHOWN))}{more}.")
    return names


def _row(names: list[str], cells: list[str]) -> dict[str, Any] | BadValue:
    if len(cells) < len(names) or _holds_something(cells[len(names) :]):
        return BadValue(f"has {len(cells)} cells, the header has {len(names)}")
    return {name: cell for name, cell in zip(names, cells, strict=False) if cell != ""}


def _holds_something(cells: list[str]) -> bool:
    return any(cell and not cell.isspace() for cell in cells)
