"""Write an export: all files from one snapshot, while other sessions write."""

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
from ops.sql.copy_out import begin_snapshot, open_csv_stream, open_json_stream


def write_export(request: ExportRequest, target: Path, progress: TransferProgress, stop: Event) -> Summary:
    """Write the requested datasets into the folder ``target``, all of them or nothing.

    Raises InvalidTarget, TargetNotWritable, and Interrupted when ``stop`` is set meanwhile.
    """
    datasets, file_format = request.datasets(), request.file_format
    allowed = all_file_names(datasets)
    with (
        atomic_directory(
            target, overwrite=request.overwrite, marker=SUMMARY_FILENAME, allowed=allowed
        ) as folder,
        read_only_snapshot(),
    ):
        started = monotonic()
        time, snapshot = begin_snapshot()
        total = sum(dataset.queryset.count() for dataset in datasets)
        with progress.tracking(total):
            files = {each.name: _write_file(each, folder, file_format, progress, stop) for each in datasets}
        seconds, migrations = round(monotonic() - started, 3), read_applied_migrations()
        summary = Summary(time, seconds, snapshot, file_format, files, migrations, request.as_summary())
        summary.write(folder)
    return summary


def _write_file(
    dataset: Dataset, folder: Path, file_format: FileFormat, progress: TransferProgress, stop: Event
) -> FileResult:
    name = file_format.file_name(dataset.name)

    def advance(rows: int, size: int) -> None:
        progress.advance(name, rows, size)
        if stop.is_set():
            raise Interrupted("Interrupted: nothing was exported.")

    open_stream = open_csv_stream if file_format.format == "csv" else open_json_stream
    with open_stream(dataset.queryset, dataset.columns) as chunks:
        return write_rows(folder / name, file_format, chunks, advance)


def all_file_names(datasets: Sequence[Dataset]) -> set[str]:
    """Return the names of all files that an export of these datasets may have, in any format."""
    formats = list_file_formats()
    return {SUMMARY_FILENAME, *(each.file_name(dataset.name) for dataset in datasets for each in formats)}
