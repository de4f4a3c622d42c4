"""Verifies an export: every file read back and held against the summary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ops.exceptions import BadContent
from ops.export.meter import Meter
from ops.export.read import ExportFile
from ops.export.summary import Export
from ops.json_reader import Repeated

_STEP = 1000


@dataclass(frozen=True)
class Verdict:
    """A file and what is wrong with it; nothing where ``reason`` is empty."""

    file: ExportFile
    reason: str


def verify(export: Export, meter: Meter) -> list[Verdict]:
    """Read every file to its end, in memory that does not grow with it."""
    promised = [file.promise.rows for file in export.files.values()]
    with meter.of(0 if None in promised else sum(rows or 0 for rows in promised)):
        return [Verdict(file, _reason(file, meter)) for file in export.files.values()]


def _reason(file: ExportFile, meter: Meter) -> str:
    try:
        for place, row in metered(file, meter):
            if isinstance(row, Repeated):
                raise BadContent(f'{file.where(place)} gives "{row.key}" twice.')
            if not isinstance(row, dict):
                raise BadContent(f"{file.where(place)} is not an object.")
    except BadContent as exc:
        meter.fewer((file.promise.rows or 0) - file.rows)
        return str(exc)
    return ""


def metered(file: ExportFile, meter: Meter) -> Iterator[tuple[int, object]]:
    """The rows of the file; the meter is told how far it is."""
    rows = size = 0
    for place, row in file:
        if place % _STEP == 0:
            meter.advance(file.path.name, place - rows, file.bytes - size)
            rows, size = place, file.bytes
        yield place, row
    meter.advance(file.path.name, file.rows - rows, file.bytes - size)
