"""The values of a JSON file, one at a time, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TextIO

import simplejson

from ops.exceptions import InvalidContent
from ops.formatting import truncate

CHUNK_SIZE = 1 << 20
# How near the end of the text an error stands when the text was cut off inside a number, a name or an escape.
_TOKEN_MARGIN = 16
# PostgreSQL's numeric, which holds the numbers of jsonb: digits after the point, and fewer than before it.
_MAX_FRACTION_DIGITS = 16_383
_MAX_EXPONENT = 16_000
_MAX_INTEGER_DIGITS = 4_300


@dataclass(frozen=True)
class DuplicateKey:
    """Stands for a value in which an object names a key twice: which of the two is meant?"""

    key: str


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _parse_integer(text: str) -> int:
    """Python's own limit may be set otherwise, and tells a programmer how."""
    if len(text) > _MAX_INTEGER_DIGITS:
        raise ValueError("A whole number has too many digits")
    return int(text)


def _parse_decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:  # the exponent is beyond even Decimal's
        raise ValueError(_out_of_range_message(text)) from None
    # A number's exponent is an integer: only NaN and infinity have another.
    if number.adjusted() > _MAX_EXPONENT or -int(number.as_tuple().exponent) > _MAX_FRACTION_DIGITS:
        raise ValueError(_out_of_range_message(text))
    return number


def _out_of_range_message(text: str) -> str:
    return f"The number {truncate(text)} is beyond the database's"


class ExactDecoder(simplejson.JSONDecoder):
    """Numbers with a point or an exponent become Decimals, so that none of their digits is lost."""

    def __init__(self) -> None:
        super().__init__(
            parse_float=_parse_decimal,
            parse_int=_parse_integer,
            parse_constant=_reject_constant,
            object_pairs_hook=self._object,
        )
        self._repeated: str | None = None

    def raw_decode(self, text: str, at: int = 0) -> tuple[Any, int]:  # type: ignore[override]
        self._repeated = None
        try:
            value, end = super().raw_decode(text, at)
        except RecursionError:
            raise ValueError("Nested too deeply") from None
        return (value if self._repeated is None else DuplicateKey(self._repeated)), end

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            self._repeated = next(key for key in keys if keys.count(key) > 1)
        return found


def format_decode_error(error: simplejson.JSONDecodeError) -> str:
    """What is wrong, without the place: the library's own words leave a %r and an "at" open."""
    char = repr(error.doc[error.pos : error.pos + 1])
    return str(error.msg).replace("%r", char).removesuffix(" at").removesuffix(" starting")


class JsonReader:
    """Reads values one after another from a text that is held only a window at a time.

    The standard way to stream JSON, ijson, can neither say the line of an error nor see a repeated key.
    """

    def __init__(self, file: TextIO, chunk: int = CHUNK_SIZE) -> None:
        self._file, self._chunk = file, chunk
        self._text, self._at = "", 0
        self._line, self._column = 1, 1
        self._decoder = ExactDecoder()

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
                value, end = self._decoder.raw_decode(self._text, self._at)
            except simplejson.JSONDecodeError as exc:
                if self._is_cut_off(exc) and self._more():
                    continue
                raise self.error(format_decode_error(exc), exc.pos) from None
            except ValueError as exc:
                raise self.error(str(exc), self._at) from None
            if end > len(self._text) - _TOKEN_MARGIN and self._more():
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

    def error(self, reason: str, at: int) -> InvalidContent:
        line, column = self._position(at)
        return InvalidContent(f"not JSON: {reason} at line {line}, column {column}.")

    def _is_cut_off(self, exc: simplejson.JSONDecodeError) -> bool:
        return exc.msg.startswith("Unterminated string") or exc.pos >= len(self._text) - _TOKEN_MARGIN

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
