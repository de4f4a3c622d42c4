"""Verify an export: read every file back and compare it with the summary."""

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
    """A file, and what is wrong with it: "" where nothing is."""

    file: ExportFile
    reason: str


def verify_export(export: ExportFolder, progress: TransferProgress) -> list[VerificationResult]:
    """Read every file to its end; memory use does not grow with the file."""
    expected_rows = [file.expected.rows for file in export.files.values()]
    with progress.tracking(0 if None in expected_rows else sum(rows or 0 for rows in expected_rows)):
        return [VerificationResult(file, _failure_reason(file, progress)) for file in export.files.values()]


def _failure_reason(file: ExportFile, progress: TransferProgress) -> str:
    try:
        for position, row in iter_with_progress(file, progress):
            if isinstance(row, DuplicateKey):
                raise InvalidContent(f'{file.row_label(position)} gives "{row.key}" twice.')
            if not isinstance(row, dict):
                raise InvalidContent(f"{file.row_label(position)} is not an object.")
    except InvalidContent as exc:
        progress.reduce_total((file.expected.rows or 0) - file.rows)
        return str(exc)
    return ""


def iter_with_progress(file: ExportFile, progress: TransferProgress) -> Iterator[tuple[int, object]]:
    """Yield the rows of the file with their positions, and advance the progress."""
    rows = size = 0
    for position, row in file:
        if position % _ROWS_PER_UPDATE == 0:
            progress.advance(file.path.name, position - rows, file.bytes - size)
            rows, size = position, file.bytes
        yield position, row
    progress.advance(file.path.name, file.rows - rows, file.bytes - size)
