"""Read a JSON file value by value, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TextIO

import simplejson

from ops.exceptions import InvalidContent
from ops.formatting import truncate

CHUNK_SIZE = 1 << 20
# An error this close to the end of the text may mean that a number, a key or an escape was truncated.
_TOKEN_MARGIN = 16
# Limits of numeric, the type of numbers in jsonb: digits after the point, and less than those before it.
_MAX_FRACTION_DIGITS = 16_383
_MAX_EXPONENT = 16_000
_MAX_INTEGER_DIGITS = 4_300


@dataclass(frozen=True)
class DuplicateKey:
    """Stands for a value with an object that has the key twice, which is ambiguous."""

    key: str


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _parse_integer(text: str) -> int:
    """Python's own limit may be set differently, and its message is for programmers."""
    if len(text) > _MAX_INTEGER_DIGITS:
        raise ValueError("A whole number has too many digits")
    return int(text)


def _parse_decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:  # the exponent is out of Decimal's range
        raise ValueError(_out_of_range_message(text)) from None
    # The exponent is an int here: it is not one for NaN and infinity only.
    if number.adjusted() > _MAX_EXPONENT or -int(number.as_tuple().exponent) > _MAX_FRACTION_DIGITS:
        raise ValueError(_out_of_range_message(text))
    return number


def _out_of_range_message(text: str) -> str:
    return f"The number {truncate(text)} is out of the database's range"


class ExactDecoder(simplejson.JSONDecoder):
    """A decoder that returns numbers with a point or an exponent as Decimal, with all their digits."""

    def __init__(self) -> None:
        super().__init__(
            parse_float=_parse_decimal,
            parse_int=_parse_integer,
            parse_constant=_reject_constant,
            object_pairs_hook=self._build_object,
        )
        self._duplicate_key: str | None = None

    def raw_decode(self, text: str, at: int = 0) -> tuple[Any, int]:  # type: ignore[override]
        self._duplicate_key = None
        try:
            value, end = super().raw_decode(text, at)
        except RecursionError:
            raise ValueError("Nested too deeply") from None
        return (value if self._duplicate_key is None else DuplicateKey(self._duplicate_key)), end

    def _build_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            keys = [key for key, _ in pairs]
            self._duplicate_key = next(key for key in keys if keys.count(key) > 1)
        return members


def format_decode_error(error: simplejson.JSONDecodeError) -> str:
    """Return the library's message without its placeholder %r and its trailing "at"."""
    char = repr(error.doc[error.pos : error.pos + 1])
    return str(error.msg).replace("%r", char).removesuffix(" at").removesuffix(" starting")


class JsonReader:
    """Reads values one after another, with only a window of the text in memory.

    ijson, the usual library for this, reports neither the line of an error nor a duplicate key.
    """

    def __init__(self, file: TextIO, chunk: int = CHUNK_SIZE) -> None:
        self._file, self._chunk = file, chunk
        self._text, self._offset = "", 0
        self._line, self._column = 1, 1
        self._decoder = ExactDecoder()

    def peek(self) -> str:
        """Return the next character that is not white space, or "" at the end."""
        while True:
            while self._offset < len(self._text) and self._text[self._offset] in " \t\n\r":
                self._offset += 1
            if self._offset < len(self._text):
                return self._text[self._offset]
            if not self._read_chunk():
                return ""

    def expect(self, chars: str) -> str:
        """Read one of the characters. Raises InvalidContent where another one is next."""
        char = self.peek()
        if not char or char not in chars:
            expected = " or ".join(f"'{each}'" for each in chars)
            raise self.build_error(f"Expecting {expected}", self._offset)
        self._offset += 1
        return char

    def read_value(self) -> Any:
        """Read the next value. Raises InvalidContent."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._offset)
            except simplejson.JSONDecodeError as exc:
                if self._is_truncated(exc) and self._read_chunk():
                    continue
                raise self.build_error(format_decode_error(exc), exc.pos) from None
            except ValueError as exc:
                raise self.build_error(str(exc), self._offset) from None
            if end > len(self._text) - _TOKEN_MARGIN and self._read_chunk():
                continue  # A number may continue in the next chunk.
            self._offset = end
            return value

    def iter_items(self) -> Iterator[Any]:
        """Yield the values of the list that begins here."""
        self.expect("[")
        if self.peek() == "]":
            self._offset += 1
            return
        while True:
            yield self.read_value()
            if self.expect(",]") == "]":
                return

    def iter_keys(self) -> Iterator[str]:
        """Yield the keys of the object that begins here; the caller reads the value after each."""
        self.expect("{")
        if self.peek() == "}":
            self._offset += 1
            return
        while True:
            if self.peek() != '"':
                raise self.build_error("Expecting a name in double quotes", self._offset)
            key = self.read_value()
            self.expect(":")
            yield key
            if self.expect(",}") == "}":
                return

    def build_error(self, reason: str, at: int) -> InvalidContent:
        line, column = self._position(at)
        return InvalidContent(f"not JSON: {reason} at line {line}, column {column}.")

    def _is_truncated(self, exc: simplejson.JSONDecodeError) -> bool:
        return exc.msg.startswith("Unterminated string") or exc.pos >= len(self._text) - _TOKEN_MARGIN

    def _read_chunk(self) -> bool:
        """Replace the text that was read by the next chunk; False at the end of the file.

        A chunk is at least as long as the unread text, so that long values take linear time.
        """
        unread = self._text[self._offset :]
        added = self._file.read(max(self._chunk, len(unread)))
        if added:
            self._line, self._column = self._position(self._offset)
            self._text, self._offset = unread + added, 0
        return bool(added)

    def _position(self, at: int) -> tuple[int, int]:
        """Return the line and the column, from 1."""
        line, column = self._text.count("\n", 0, at), at - self._text.rfind("\n", 0, at)
        return self._line + line, column if line else self._column + at
