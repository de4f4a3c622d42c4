"""Verifies an export: every file read back and held against the summary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ops.exceptions import InvalidContent
from ops.export.progress import TransferProgress
from ops.export.reader import ExportFile
from ops.export.summary import ExportFolder
from ops.json_reader import DuplicateKey

_ROWS_PER_UPDATE = 1000


@dataclass(frozen=True)
class VerificationResult:
    """A file and what is wrong with it; nothing where ``reason`` is empty."""

    file: ExportFile
    reason: str


def verify_export(export: ExportFolder, meter: TransferProgress) -> list[VerificationResult]:
    """Read every file to its end, in memory that does not grow with it."""
    promised = [file.promise.rows for file in export.files.values()]
    with meter.of(0 if None in promised else sum(rows or 0 for rows in promised)):
        return [VerificationResult(file, _failure_reason(file, meter)) for file in export.files.values()]


def _failure_reason(file: ExportFile, meter: TransferProgress) -> str:
    try:
        for place, row in iter_with_progress(file, meter):
            if isinstance(row, DuplicateKey):
                raise InvalidContent(f'{file.row_label(place)} gives "{row.key}" twice.')
            if not isinstance(row, dict):
                raise InvalidContent(f"{file.row_label(place)} is not an object.")
    except InvalidContent as exc:
        meter.fewer((file.promise.rows or 0) - file.rows)
        return str(exc)
    return ""


def iter_with_progress(file: ExportFile, meter: TransferProgress) -> Iterator[tuple[int, object]]:
    """The rows of the file; the meter is told how far it is."""
    rows = size = 0
    for place, row in file:
        if place % _ROWS_PER_UPDATE == 0:
            meter.advance(file.path.name, place - rows, file.bytes - size)
            rows, size = place, file.bytes
        yield place, row
    meter.advance(file.path.name, file.rows - rows, file.bytes - size)
