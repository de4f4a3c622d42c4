"""Reads an export back: its summary, and its files row by row, held against what the summary says."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ops.exceptions import InvalidContent
from ops.json_reader import JsonReader

_BUFFER_SIZE = 1 << 16


@dataclass(frozen=True)
class ExpectedFile:
    """What the summary says of a file; a summary of the Node backend says only how many rows it has."""

    rows: int | None = None
    bytes: int | None = None
    sha256: str | None = None


class ExportFile:
    """The rows of one file with their places, read once; raises BadContent, its message without the name.

    ``rows`` and ``bytes`` say how far it is; ``sha256`` is the file's once the last row was read.
    """

    def __init__(self, part: str, path: Path, promise: ExpectedFile) -> None:
        self.part, self.path, self.promise = part, path, promise
        self.top_level: dict[str, Any] = {}
        self.rows = 0
        self._read = _ReadDigest()
        self._lines = ".jsonl" in path.suffixes

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        self.rows, self._read = 0, _ReadDigest()
        with self._opened() as text:
            for row in self._values(JsonReader(text)):
                yield self.rows, row
                self.rows += 1
        self._hold_to(self.promise)

    @property
    def bytes(self) -> int:
        return self._read.bytes

    @property
    def sha256(self) -> str:
        return str(self._read.digest.hexdigest())

    def row_label(self, place: int) -> str:
        return f"line {place + 1}" if self._lines else f"row [{place}]"

    def _values(self, reader: JsonReader) -> Iterator[Any]:
        if self._lines:
            while reader.peek():
                yield reader.value()
            return
        if not reader.peek():
            raise InvalidContent("it is empty.")
        yield from reader.items()
        if reader.peek():
            raise InvalidContent("not JSON: there is more after its end.")

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        try:
            with _open_regular_file(self.path, self.promise.bytes) as number:
                raw = io.BufferedReader(_HashingFile(number, self._read), _BUFFER_SIZE)
                packed = self.path.suffix == ".gz"
                yield io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if packed else raw, "utf-8", newline="")
        except UnicodeDecodeError as exc:
            raise InvalidContent(f"not UTF-8: byte 0x{exc.object[exc.start]:02x}.") from exc
        except EOFError as exc:
            raise InvalidContent("its gzip is cut off.") from exc
        except (gzip.BadGzipFile, zlib.error) as exc:
            raise InvalidContent(f"not gzip: {exc}.") from exc
        except OSError as exc:
            reason = "it is a link" if exc.errno == errno.ELOOP else exc.strerror
            raise InvalidContent(f"cannot be read: {reason}.") from exc

    def _hold_to(self, promise: ExpectedFile) -> None:
        if promise.sha256 not in (None, self.sha256):
            raise InvalidContent(f"its SHA-256 is {self.sha256}, the summary says {promise.sha256}.")
        if promise.rows not in (None, self.rows):
            raise InvalidContent(f"it has {self.rows:,} rows, the summary says {promise.rows:,}.")


@dataclass
class _ReadDigest:
    bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class _HashingFile(io.FileIO):
    """Notes what is read from it."""

    def __init__(self, number: int, read: _ReadDigest) -> None:
        super().__init__(number, closefd=False)
        self._noted = read

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer) or 0
        self._noted.bytes += count
        self._noted.digest.update(memoryview(buffer)[:count])
        return count


@contextmanager
def _open_regular_file(path: Path, promised: int | None) -> Iterator[int]:
    """The number of an open file: no link that leads elsewhere, no pipe that never ends."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidContent("it is no plain file.")
        if promised not in (None, found.st_size):
            raise InvalidContent(f"it has {found.st_size:,} bytes, the summary says {promised:,}.")
        yield number
    finally:
        os.close(number)
