"""Opening a pack: detection of the format, and errors of unreadable files."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from cards.packs.csv_source import CsvSource
from cards.packs.errors import InvalidPack, UnreadableFile
from cards.packs.json_source import JsonSource
from ops.exceptions import InvalidContent


class Source(Protocol):
    """Rows with their positions; ``row_label`` formats a position, ``top_level`` is the pack's own keys."""

    path: Path
    top_level: dict[str, Any]

    def __iter__(self) -> Iterator[tuple[int, Any]]: ...

    def row_label(self, position: int) -> str:
        """Return the position for a person: ``line 7``, ``cards[3]``."""


@contextmanager
def open_source(path: Path, list_keys: Collection[str], name: str = "") -> Iterator[Source]:
    """Open a pack; in a JSON object the rows are in one of the lists ``list_keys``.

    Errors call the file by its path, or by the ``name`` that a person knows it by. Raises InvalidPack,
    UnreadableFile.
    """
    try:
        with _open_text(path) as file:
            _require_plain(path)
            yield CsvSource(path, file) if _is_csv(path, file) else JsonSource(path, file, list_keys)
    except UnicodeDecodeError as exc:
        raise InvalidPack(f"{name or path} was refused: {_utf8_error_text(path)}") from exc
    except InvalidContent as exc:
        raise InvalidPack(f"{name or path} was refused: {exc}") from exc


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_text(path: Path) -> TextIO:
    try:
        if path.is_fifo():  # opening it would wait for a writer
            raise ValueError("a pack must be a regular file, since it is read twice")
        return path.open(encoding="utf-8-sig", newline="")
    except (OSError, ValueError) as exc:  # ValueError: a path with a NUL byte
        raise UnreadableFile(f"Cannot read {path}: {getattr(exc, 'strerror', None) or exc}.") from exc


# By the first bytes; a workbook of a spreadsheet is a zip.
_COMPRESSED = {
    b"\x1f\x8b": "it is compressed with gzip. Unpack it first.",
    b"PK\x03\x04": "it is a workbook or a zip. Save a workbook as CSV (UTF-8); unpack a zip first.",
}


def _require_plain(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    for magic, reason in _COMPRESSED.items():
        if start.startswith(magic):
            raise InvalidPack(reason)


def _is_csv(path: Path, file: TextIO) -> bool:
    if path.suffix.lower() in {".csv", ".json"}:
        return path.suffix.lower() == ".csv"
    start = file.read(1024).lstrip()
    file.seek(0)
    return start[:1] not in {"{", "["}


def _utf8_error_text(path: Path) -> str:
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as exc:
                byte = line[exc.start]
                return f"not UTF-8: byte 0x{byte:02x} at offset {offset + exc.start}, in line {number}."
            offset += len(line)
    return "not UTF-8."
