"""Write an export: all files from one snapshot, while other sessions write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic

from django.db import DEFAULT_DB_ALIAS, connection

from ops.db import read_only_snapshot
from ops.exceptions import Interrupted
from ops.export.dataset import Dataset
from ops.export.files import FileFormat, FileResult, list_file_formats, write_rows
from ops.export.folder import atomic_directory
from ops.export.parallel import Blocks, ParallelReader, open_readers, split_by_key
from ops.export.progress import TransferProgress
from ops.export.request import ExportRequest
from ops.export.summary import SUMMARY_FILENAME, Summary, read_applied_migrations
from ops.session import is_pooled
from ops.sql.copy_out import (
    csv_header,
    disable_timeouts,
    export_snapshot,
    open_csv_stream,
    open_json_stream,
    read_snapshot,
)


def write_export(request: ExportRequest, target: Path, progress: TransferProgress, stop: Event) -> Summary:
    """Write the requested datasets into the folder ``target``, all of them or nothing.

    Raises InvalidTarget, TargetNotWritable, and Interrupted when ``stop`` is set meanwhile.
    """
    datasets, file_format = request.datasets(), request.file_format
    allowed = all_file_names(datasets)
    # Others cannot see the rows of a transaction that is not committed, as that of a TestCase.
    may_share = not connection.in_atomic_block
    with (
        atomic_directory(
            target, overwrite=request.overwrite, marker=SUMMARY_FILENAME, allowed=allowed
        ) as folder,
        read_only_snapshot(locked=[dataset.queryset.model for dataset in datasets]),
    ):
        started = monotonic()
        disable_timeouts()
        time, snapshot = read_snapshot()
        counts = {dataset.name: dataset.queryset.count() for dataset in datasets}
        files = {}
        with progress.tracking(sum(counts.values())):
            for dataset in datasets:
                with open_blocks(dataset, file_format, counts[dataset.name], may_share=may_share) as blocks:
                    files[dataset.name] = _write_file(dataset, blocks, folder, file_format, progress, stop)
        seconds, migrations = round(monotonic() - started, 3), read_applied_migrations()
        summary = Summary(time, seconds, snapshot, file_format, files, migrations, request.as_summary())
        summary.write(folder)
    return summary


@contextmanager
def open_blocks(dataset: Dataset, file_format: FileFormat, rows: int, *, may_share: bool) -> Iterator[Blocks]:
    """Yield the rows of the dataset in blocks: over several connections, where that is possible and pays.

    A pooler might have no second connection while the first has its transaction open.
    """
    open_stream = open_csv_stream if file_format.format == "csv" else open_json_stream
    ranges = split_by_key(dataset, rows) if may_share else []
    if ranges and not is_pooled(DEFAULT_DB_ALIAS):
        with open_readers() as readers:
            if readers:
                reader = ParallelReader(open_stream, dataset.columns, export_snapshot())
                with reader.reading(ranges, readers) as blocks:
                    yield blocks
                return
    with open_stream(dataset.queryset, dataset.columns) as blocks:
        yield blocks


def _write_file(
    dataset: Dataset,
    blocks: Blocks,
    folder: Path,
    file_format: FileFormat,
    progress: TransferProgress,
    stop: Event,
) -> FileResult:
    name = file_format.file_name(dataset.name)

    def advance(rows: int, size: int) -> None:
        progress.advance(name, rows, size)
        if stop.is_set():
            raise Interrupted("Interrupted: nothing was exported.")

    header = csv_header(dataset.queryset.model, dataset.columns) if file_format.format == "csv" else b""
    return write_rows(folder / name, file_format, blocks, advance, header)


def all_file_names(datasets: Sequence[Dataset]) -> set[str]:
    """Return the names of all files that an export of these datasets may have, in any format."""
    formats = list_file_formats()
    return {SUMMARY_FILENAME, *(each.file_name(dataset.name) for dataset in datasets for each in formats)}
