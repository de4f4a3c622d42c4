"""Read the files of an export row by row, and compare them with what the summary says."""

from __future__ import annotations

import csv
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

from ops.csv_cells import BYTE_ORDER_MARK
from ops.exceptions import InvalidContent
from ops.formatting import pluralize
from ops.json_reader import JsonReader

_BUFFER_SIZE = 1 << 16
# PostgreSQL's own limit of a value; csv's is 131,072 characters.
_MAX_CELL_LENGTH = 1 << 30


@dataclass(frozen=True)
class ExpectedFile:
    """What the summary says of a file; a summary of the Node backend has only the number of rows."""

    rows: int | None = None
    bytes: int | None = None
    sha256: str | None = None


class ExportFile:
    """Iterates over the rows of one file with their positions, from 0.

    ``rows`` and ``bytes`` count what was read; ``sha256`` is the file's after the last row. Iterating raises
    InvalidContent, whose message does not name the file.
    """

    def __init__(self, dataset: str, path: Path, expected: ExpectedFile) -> None:
        self.dataset, self.path, self.expected = dataset, path, expected
        self.top_level: dict[str, Any] = {}
        self.rows = 0
        self._consumed = _ReadDigest()
        self._suffix = path.name.removesuffix(".gz").rpartition(".")[2]

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        self.rows, self._consumed = 0, _ReadDigest()
        with self._open_text() as text:
            for row in _iter_csv_rows(text) if self.is_csv else self._values(JsonReader(text)):
                yield self.rows, row
                self.rows += 1
        self._check_expected()

    @property
    def is_csv(self) -> bool:
        """Whether the rows are of text: what the cells mean is not known here."""
        return self._suffix == "csv"

    @property
    def bytes(self) -> int:
        return self._consumed.bytes

    @property
    def sha256(self) -> str:
        return str(self._consumed.digest.hexdigest())

    def row_label(self, position: int) -> str:
        """Describe the position of a row, as an error message names it."""
        return f"line {position + 1}" if self._suffix == "jsonl" else f"row [{position}]"

    def _values(self, reader: JsonReader) -> Iterator[Any]:
        if self._suffix == "jsonl":
            while reader.peek():
                yield reader.read_value()
            return
        if not reader.peek():
            raise InvalidContent("it is empty.")
        yield from reader.iter_items()
        if reader.peek():
            raise InvalidContent("not JSON: there is more after its end.")

    @contextmanager
    def _open_text(self) -> Iterator[TextIO]:
        try:
            with _open_regular_file(self.path, self.expected.bytes) as descriptor:
                raw = io.BufferedReader(_HashingFile(descriptor, self._consumed), _BUFFER_SIZE)
                is_gzip = self.path.suffix == ".gz"
                yield io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if is_gzip else raw, "utf-8", newline="")
        except UnicodeDecodeError as exc:
            raise InvalidContent(f"not UTF-8: byte 0x{exc.object[exc.start]:02x}.") from exc
        except EOFError as exc:
            raise InvalidContent("its gzip data is truncated.") from exc
        except (gzip.BadGzipFile, zlib.error) as exc:
            raise InvalidContent(f"not gzip: {exc}.") from exc
        except OSError as exc:
            reason = "it is a link" if exc.errno == errno.ELOOP else exc.strerror
            raise InvalidContent(f"cannot be read: {reason}.") from exc

    def _check_expected(self) -> None:
        expected = self.expected
        if expected.sha256 not in (None, self.sha256):
            raise InvalidContent(f"its SHA-256 is {self.sha256}, the summary says {expected.sha256}.")
        if expected.rows not in (None, self.rows):
            raise InvalidContent(f"it has {pluralize(self.rows, 'row')}, the summary says {expected.rows:,}.")


def _iter_csv_rows(text: TextIO) -> Iterator[dict[str, str]]:
    """Yield the rows by the names in the header. Raises InvalidContent."""
    csv.field_size_limit(_MAX_CELL_LENGTH)
    reader = csv.reader(text, strict=True)
    try:
        names = [name.removeprefix(BYTE_ORDER_MARK) for name in next(reader, [])]
        if not names:
            raise InvalidContent("it is empty.")
        for cells in reader:
            if len(cells) != len(names):
                raise InvalidContent(f"line {reader.line_num} has {len(cells)} cells, not {len(names)}.")
            yield dict(zip(names, cells, strict=True))
    except csv.Error as exc:
        raise InvalidContent(f"not CSV: {exc} at line {reader.line_num}.") from exc


@dataclass
class _ReadDigest:
    bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class _HashingFile(io.FileIO):
    """A file that counts and hashes the bytes read from it."""

    def __init__(self, descriptor: int, consumed: _ReadDigest) -> None:
        super().__init__(descriptor, closefd=False)
        self._consumed = consumed

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer) or 0
        self._consumed.bytes += count
        self._consumed.digest.update(memoryview(buffer)[:count])
        return count


@contextmanager
def _open_regular_file(path: Path, expected_bytes: int | None) -> Iterator[int]:
    """Yield the file descriptor. Symbolic links, and pipes, which may never end, are refused."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidContent("it is not a regular file.")
        if expected_bytes not in (None, status.st_size):
            raise InvalidContent(
                f"it has {pluralize(status.st_size, 'byte')}, the summary says {expected_bytes:,}."
            )
        yield descriptor
    finally:
        os.close(descriptor)
