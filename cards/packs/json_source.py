"""The reader of JSON packs: rows one at a time, in constant memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from cards.packs.errors import InvalidPack
from ops.formatting import truncate
from ops.json_reader import JsonReader

_MAX_LISTED_KEYS = 8
_JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")


class JsonSource:
    """A pack as JSON: an object with the rows in one of the lists ``list_keys``, or a list of rows, or JSON
    Lines in a file named .jsonl or .ndjson.

    ``top_level`` contains the other keys of the object; it is complete once all rows have been read.
    """

    def __init__(self, path: Path, file: TextIO, lists: Collection[str]) -> None:
        self.path = path
        self.top_level: dict[str, Any] = {}
        self._file, self._list_keys = file, lists
        self._rewind()

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        self._rewind()
        match self._reader.peek():
            case "[":
                yield from self._iter_list("row ")
            case "{" if self.path.suffix.lower() in _JSON_LINES_SUFFIXES:
                yield from self._iter_lines()
            case "{":
                yield from self._iter_object()
            case "":
                raise InvalidPack("the file is empty.")
            case other:
                raise InvalidPack(f"neither a JSON object nor a list: it begins with {other!r}.")
        if self._reader.peek():
            self._reader.read_value()
            raise InvalidPack("not JSON: there is more after its end.")

    def _rewind(self) -> None:
        self._file.seek(0)
        self._reader = JsonReader(self._file)
        self._list_starts: list[tuple[int, str]] = []
        self._count = 0

    def row_label(self, position: int) -> str:
        start, name = next(pair for pair in reversed(self._list_starts) if pair[0] <= position)
        return f"{name}[{position - start}]"

    def _iter_object(self) -> Iterator[tuple[int, Any]]:
        keys: set[str] = set()
        for key in self._reader.iter_keys():
            if key in keys:
                raise InvalidPack(f'it gives "{truncate(key)}" twice.')
            keys.add(key)
            if key in self._list_keys and self._reader.peek() == "[":
                yield from self._iter_list(key)
            else:
                self.top_level[key] = self._reader.read_value()
        if not self._list_starts and self._reader.peek() == "{":
            raise InvalidPack(
                "there is more after its first object: if each line is a row, name the file .jsonl."
            )
        if not self._list_starts:
            expected = " or ".join(f'"{name}"' for name in self._list_keys)
            actual = (
                ", ".join(f'"{truncate(key)}"' for key in islice(self.top_level, _MAX_LISTED_KEYS))
                or "nothing"
            )
            if len(self.top_level) > _MAX_LISTED_KEYS:
                actual += f" and {len(self.top_level) - _MAX_LISTED_KEYS:,} more"
            raise InvalidPack(f"it has no list {expected}; its top level has {actual}.")

    def _iter_lines(self) -> Iterator[tuple[int, Any]]:
        self._list_starts.append((0, "row "))
        while self._reader.peek():
            yield self._count, self._reader.read_value()
            self._count += 1

    def _iter_list(self, name: str) -> Iterator[tuple[int, Any]]:
        self._list_starts.append((self._count, name))
        for row in self._reader.iter_items():
            yield self._count, row
            self._count += 1
