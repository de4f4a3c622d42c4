"""The rows of a JSON file, one at a time, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import simplejson

from cards.packs.errors import RefusedPack

CHUNK = 1 << 20
# How near the end of the text an error stands when the text was cut off inside a number, a name or an escape.
_TOKEN = 16
# PostgreSQL's numeric, which holds the numbers of jsonb, ends not far beyond.
_LARGEST_EXPONENT = 16_000


class Repeated(dict[str, Any]):
    """An object that names a key twice. JSON lets it pass, but which of the two is meant?"""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        keys = [key for key, _ in pairs]
        self.key = next(key for key in keys if keys.count(key) > 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _exact(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError(f"The number {text} is beyond the database's")
    return number


# Numbers with a point or an exponent become Decimals, so that none of their digits is lost.
DECODER = simplejson.JSONDecoder(parse_float=_exact, parse_constant=_refuse, object_pairs_hook=_object)


class JsonReader:
    """Reads values one after another from a text that is held only a window at a time.

    The standard way to stream JSON, ijson, can neither say the line of an error nor see a repeated key.
    """

    def __init__(self, file: TextIO, chunk: int = CHUNK) -> None:
        self._file, self._chunk = file, chunk
        self._text, self._at = "", 0
        self._line, self._column = 1, 1

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\n\r":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> str:
        """The next character, which must be one of those wanted."""
        found = self.peek()
        if not found or found not in wanted:
            expected = " or ".join(f"'{char}'" for char in wanted)
            raise self.error(f"Expecting {expected}", self._at)
        self._at += 1
        return found

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except simplejson.JSONDecodeError as exc:
                if self._is_cut_off(exc) and self._more():
                    continue
                raise self.error(exc.msg, exc.pos) from None
            except (ValueError, RecursionError) as exc:
                reason = "Nested too deeply" if isinstance(exc, RecursionError) else str(exc)
                raise self.error(reason, self._at) from None
            if end > len(self._text) - _TOKEN and self._more():
                continue  # A number may go on in what was not read yet.
            self._at = end
            return value

    def items(self) -> Iterator[Any]:
        """The values of the list that begins here."""
        self.take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.take(",]") == "]":
                return

    def names(self) -> Iterator[str]:
        """The keys of the object that begins here; the caller reads each one's value."""
        self.take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self.error("Expecting a name in double quotes", self._at)
            key = self.value()
            self.take(":")
            yield key
            if self.take(",}") == "}":
                return

    def error(self, reason: str, at: int) -> RefusedPack:
        line, column = self._position(at)
        return RefusedPack(f"not JSON: {reason} at line {line}, column {column}.")

    def _is_cut_off(self, exc: simplejson.JSONDecodeError) -> bool:
        return exc.msg.startswith("Unterminated string") or exc.pos >= len(self._text) - _TOKEN

    def _more(self) -> bool:
        """Forget what was read, and read on: at least as much again as is held, so that time stays linear."""
        held = self._text[self._at :]
        added = self._file.read(max(self._chunk, len(held)))
        if added:
            self._line, self._column = self._position(self._at)
            self._text, self._at = held + added, 0
        return bool(added)

    def _position(self, at: int) -> tuple[int, int]:
        """The line and the column, from 1."""
        line, column = self._text.count("\n", 0, at), at - self._text.rfind("\n", 0, at)
        return self._line + line, column if line else self._column + at


class JsonSource:
    """A pack as JSON: an object with its rows in one of the lists named, or a bare list of rows.

    ``top`` holds what else the object says; it is complete once the rows have been read.
    """

    def __init__(self, path: Path, file: TextIO, lists: Collection[str]) -> None:
        self.path = path
        self.top: dict[str, Any] = {}
        self._reader = JsonReader(file)
        self._lists = lists
        self._starts: list[tuple[int, str]] = []
        self._count = 0

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        match self._reader.peek():
            case "[":
                yield from self._rows("row ")
            case "{":
                yield from self._object()
            case "":
                raise RefusedPack("the file is empty.")
            case other:
                raise RefusedPack(f"neither a JSON object nor a list: it begins with {other!r}.")
        if self._reader.peek():
            self._reader.value()
            raise RefusedPack("not JSON: there is more after its end.")

    def where(self, place: int) -> str:
        start, name = next(found for found in reversed(self._starts) if found[0] <= place)
        return f"{name}[{place - start}]"

    def _object(self) -> Iterator[tuple[int, Any]]:
        for key in self._reader.names():
            if key in self._lists and self._reader.peek() == "[":
                yield from self._rows(key)
            else:
                self.top[key] = self._reader.value()
        if not self._starts:
            wanted = " or ".join(f'"{name}"' for name in self._lists)
            found = ", ".join(f'"{key}"' for key in self.top) or "nothing"
            raise RefusedPack(f"it has no list {wanted}; at its top it has {found}.")

    def _rows(self, name: str) -> Iterator[tuple[int, Any]]:
        self._starts.append((self._count, name))
        for row in self._reader.items():
            yield self._count, row
            self._count += 1
