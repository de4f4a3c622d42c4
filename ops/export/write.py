"""Writes an export: every file from the same snapshot, while writers go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from time import monotonic

from ops.db import read_only_snapshot
from ops.exceptions import Interrupted
from ops.export.dataset import Dataset
from ops.export.files import FileFormat, FileResult, list_file_formats, write_rows
from ops.export.folder import atomic_directory
from ops.export.progress import TransferProgress
from ops.export.request import ExportRequest
from ops.export.summary import SUMMARY_FILENAME, Summary, read_applied_migrations
from ops.sql.copy_out import begin_snapshot, open_json_stream


def write_export(wanted: ExportRequest, target: Path, meter: TransferProgress, stop: Event) -> Summary:
    """Write what is wanted into the folder ``target``, whole or not at all.

    Raises BadTarget, Unwritable, and Interrupted when ``stop`` is set meanwhile.
    """
    parts, form = wanted.parts(), wanted.form
    ours = all_file_names(parts)
    with (
        atomic_directory(target, overwrite=wanted.overwrite, mark=SUMMARY_FILENAME, ours=ours) as folder,
        read_only_snapshot(),
    ):
        began = monotonic()
        time, snapshot = begin_snapshot()
        totals = {part.name: part.queryset.count() for part in parts}
        with meter.of(sum(totals.values())):
            files = {part.name: _write_file(part, folder, form, meter, stop) for part in parts}
        seconds = round(monotonic() - began, 3)
        summary = Summary(time, seconds, snapshot, form, files, read_applied_migrations(), wanted.as_told())
        summary.write(folder)
    return summary


def _write_file(
    part: Dataset, folder: Path, form: FileFormat, meter: TransferProgress, stop: Event
) -> FileResult:
    name = form.file_name(part.name)

    def told(rows: int, size: int) -> None:
        meter.advance(name, rows, size)
        if stop.is_set():
            raise Interrupted("Interrupted: nothing was exported.")

    with open_json_stream(part.queryset, part.columns) as pieces:
        return write_rows(folder / name, form, pieces, told)


def all_file_names(parts: Sequence[Dataset]) -> set[str]:
    """Every file that an export of these parts may hold."""
    return {SUMMARY_FILENAME, *(form.file_name(part.name) for part in parts for form in list_file_formats())}
