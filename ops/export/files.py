"""The files of an export: the encoding of rows as bytes."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.csv_cells import BYTE_ORDER_MARK

FORMATS = ("json", "jsonl", "csv")
ProgressCallback = Callable[[int, int], None]  # rows and bytes written since the last call
# On two cores level 1 keeps most of COPY's speed, level 6 half of it; its file is a fifth smaller.
_COMPRESSION_LEVEL = 1
_GZIP_WBITS = 31  # gzip's header, without a timestamp


@dataclass(frozen=True)
class FileFormat:
    """``json`` is an array, ``jsonl`` one object per line, ``csv`` for spreadsheets; with gzip or without."""

    format: str = "json"
    compress: bool = False

    def file_name(self, dataset: str) -> str:
        return f"{dataset}.{self.format}{'.gz' if self.compress else ''}"


def list_file_formats() -> list[FileFormat]:
    return [FileFormat(format, compress) for format in FORMATS for compress in (False, True)]


@dataclass
class FileResult:
    """The contents of a written file; ``bytes`` and ``sha256`` are those on the disk, after compression."""

    rows: int = 0
    bytes: int = 0
    sha256: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def write_rows(
    path: Path,
    file_format: FileFormat,
    blocks: Iterable[list[bytes]],
    on_progress: ProgressCallback,
    header: bytes = b"",
) -> FileResult:
    """Write blocks of rows to a new file, and fsync it; ``on_progress`` is called for each block.

    Each chunk of a block is a row: a JSON line; or one of CSV, which may have line breaks, after the header.
    """
    result, digest = FileResult(), hashlib.sha256()
    with path.open("xb", buffering=0) as file:
        for rows, block in _iter_file_blocks(file_format, blocks, header):
            file.write(block)
            digest.update(block)
            result.rows += rows
            result.bytes += len(block)
            on_progress(rows, len(block))
        os.fsync(file.fileno())
    result.sha256 = digest.hexdigest()
    return result


def _iter_file_blocks(
    file_format: FileFormat, blocks: Iterable[list[bytes]], header: bytes
) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks of the file, each with the number of rows that end in it."""
    encoded = _ENCODERS[file_format.format](blocks, header)
    return _iter_gzip(encoded) if file_format.compress else encoded


def _iter_json_lines(blocks: Iterable[list[bytes]], header: bytes = b"") -> Iterator[tuple[int, bytes]]:
    for chunks in blocks:
        block = b"".join(chunks)
        yield block.count(b"\n"), block


def _iter_csv(blocks: Iterable[list[bytes]], header: bytes) -> Iterator[tuple[int, bytes]]:
    """Put the byte order mark first, without which Excel does not take the file for UTF-8."""
    yield 0, BYTE_ORDER_MARK.encode() + header
    for chunks in blocks:
        yield len(chunks), b"".join(chunks)


def _iter_json_array(blocks: Iterable[list[bytes]], header: bytes) -> Iterator[tuple[int, bytes]]:
    """Turn lines into the items of one JSON array. No row contains a newline, so nothing needs parsing."""
    prefix = b"[\n"
    for rows, block in _iter_json_lines(blocks):
        is_line_end = block.endswith(b"\n")
        items = (block[:-1] if is_line_end else block).replace(b"\n", b",\n")
        yield rows, prefix + items
        prefix = b",\n" if is_line_end else b""
    yield 0, b"[]\n" if prefix == b"[\n" else b"\n]\n"


_ENCODERS = {"json": _iter_json_array, "jsonl": _iter_json_lines, "csv": _iter_csv}


def _iter_gzip(blocks: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    compressor = zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP_WBITS)
    for rows, block in blocks:
        yield rows, compressor.compress(block)
    yield 0, compressor.flush()
