"""The files of an export: how rows become bytes."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMATS = ("json", "jsonl")
ProgressCallback = Callable[[int, int], None]  # so many rows and bytes more
_BLOCK_SIZE = 1 << 16
# Of PostgreSQL's speed on two cores, level 1 keeps most and level 6 half; the file is a fifth smaller at 6.
_COMPRESSION_LEVEL = 1
_GZIP_WBITS = 31  # zlib's name for gzip's header, without a time in it


@dataclass(frozen=True)
class FileFormat:
    """A JSON array, or one object a line; gzipped or not."""

    format: str = "json"
    compress: bool = False

    def file_name(self, part: str) -> str:
        return f"{part}.{self.format}{'.gz' if self.compress else ''}"


def list_file_formats() -> list[FileFormat]:
    return [FileFormat(format, compress) for format in FORMATS for compress in (False, True)]


@dataclass
class FileResult:
    """What a file holds; ``sha256`` and ``bytes`` are those of the file as it lies on the disk."""

    rows: int = 0
    bytes: int = 0
    sha256: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def write_rows(path: Path, form: FileFormat, pieces: Iterable[bytes], told: ProgressCallback) -> FileResult:
    """Write lines to a new file, and sync it; ``told`` hears of each block."""
    written, digest = FileResult(), hashlib.sha256()
    with path.open("xb", buffering=0) as file:
        for rows, block in _iter_file_blocks(form, pieces):
            file.write(block)
            digest.update(block)
            written.rows += rows
            written.bytes += len(block)
            told(rows, len(block))
        os.fsync(file.fileno())
    written.sha256 = digest.hexdigest()
    return written


def _iter_file_blocks(form: FileFormat, pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Blocks of the file with the rows that each ends."""
    blocks = ((block.count(b"\n"), block) for block in _iter_blocks(pieces))
    framed = _iter_json_array(blocks) if form.format == "json" else blocks
    return _iter_gzip(framed) if form.compress else framed


def _iter_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Gathers small pieces: each row comes by itself."""
    held, size = [], 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _BLOCK_SIZE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _iter_json_array(blocks: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Lines as the items of one JSON array. A row holds no line's end, so that nothing need be parsed."""
    before = b"[\n"
    for rows, block in blocks:
        ends = block.endswith(b"\n")
        items = (block[:-1] if ends else block).replace(b"\n", b",\n")
        yield rows, before + items
        before = b",\n" if ends else b""
    yield 0, b"[]\n" if before == b"[\n" else b"\n]\n"


def _iter_gzip(blocks: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    compressor = zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP_WBITS)
    for rows, block in blocks:
        yield rows, compressor.compress(block)
    yield 0, compressor.flush()
