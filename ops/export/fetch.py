"""Copy an export that a worker wrote; each file is checked against the summary in the database."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from ops.command_lines import manage_command
from ops.exceptions import InvalidContent
from ops.export import queue
from ops.export.folder import atomic_directory
from ops.export.reader import ExpectedFile
from ops.export.summary import SUMMARY_FILENAME
from ops.formatting import pluralize
from ops.models import Export


def fetch_export(export: Export, target: Path, *, overwrite: bool) -> None:
    """Copy its files into the folder ``target``, all of them and unchanged, or nothing.

    Raises ExportUnavailable, InvalidContent, InvalidTarget, TargetNotWritable.
    """
    sizes = queue.list_files(export)
    data_files = {
        name: ExpectedFile(**fields) for name, fields in (export.summary or {}).get("files", {}).items()
    }
    for name, expected in {SUMMARY_FILENAME: ExpectedFile(), **data_files}.items():
        if name not in sizes:
            raise _mismatch_error(export, name, "it is missing")
        if expected.bytes not in (None, sizes[name]):
            raise _mismatch_error(
                export, name, f"it has {pluralize(sizes[name], 'byte')}, not {expected.bytes:,}"
            )
    with atomic_directory(target, overwrite=overwrite, marker=SUMMARY_FILENAME, allowed=sizes) as folder:
        for name, expected in data_files.items():
            if (sha256 := _copy_and_hash(export, name, folder)) != expected.sha256:
                raise _mismatch_error(export, name, f"its SHA-256 is {sha256}, not {expected.sha256}")
        _copy_and_hash(export, SUMMARY_FILENAME, folder)
        if not _is_same_json(folder / SUMMARY_FILENAME, export.summary):
            raise _mismatch_error(export, SUMMARY_FILENAME, "it is not the summary in the database")


def _copy_and_hash(export: Export, name: str, folder: Path) -> str:
    """Copy a file and return the SHA-256 of the copy, which is read back from the disk."""
    with queue.open_file(export, name) as source, (folder / name).open("x+b") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
        copy.seek(0)
        return hashlib.file_digest(copy, "sha256").hexdigest()


def _is_same_json(path: Path, summary: object) -> bool:
    try:
        return bool(json.loads(path.read_bytes()) == summary)
    except ValueError:
        return False


def _mismatch_error(export: Export, name: str, reason: str) -> InvalidContent:
    return InvalidContent(
        f"{name} of export {export.pk} has changed since the export: {reason}. Nothing was fetched.",
        f"To check all its files: {manage_command('verify_export', export.path)}",
    )
