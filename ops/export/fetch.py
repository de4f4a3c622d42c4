"""Fetches an export that a worker wrote, each file held against what the database keeps of its summary."""

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
from ops.models import Export


def fetch_export(export: Export, target: Path, *, overwrite: bool) -> None:
    """Copy its files into the folder ``target``, whole and as they were exported, or not at all.

    Raises NotToBeHad, BadContent, BadTarget, Unwritable.
    """
    found = queue.list_files(export)
    promised = {name: ExpectedFile(**said) for name, said in (export.summary or {}).get("files", {}).items()}
    for name, promise in {SUMMARY_FILENAME: ExpectedFile(), **promised}.items():
        if name not in found:
            raise _mismatch_error(export, name, "it is missing")
        if promise.bytes not in (None, found[name]):
            raise _mismatch_error(export, name, f"it has {found[name]:,} bytes, not {promise.bytes:,}")
    with atomic_directory(target, overwrite=overwrite, mark=SUMMARY_FILENAME, ours=found) as folder:
        for name, promise in promised.items():
            if (sha256 := _copy_and_hash(export, name, folder)) != promise.sha256:
                raise _mismatch_error(export, name, f"its SHA-256 is {sha256}, not {promise.sha256}")
        _copy_and_hash(export, SUMMARY_FILENAME, folder)
        if not _is_same_json(folder / SUMMARY_FILENAME, export.summary):
            raise _mismatch_error(export, SUMMARY_FILENAME, "it is not the summary that was written")


def _copy_and_hash(export: Export, name: str, folder: Path) -> str:
    """The SHA-256 of the copy, which is read back."""
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


def _mismatch_error(export: Export, name: str, why: str) -> InvalidContent:
    return InvalidContent(
        f"{name} of export {export.pk} is not as it was exported: {why}. Nothing was fetched."
        f" To see what of it is whole: {manage_command('verify_export', export.path)}"
    )
