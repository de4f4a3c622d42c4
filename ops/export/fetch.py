"""Fetches an export that a worker wrote, each file held against what the database keeps of its summary."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from ops.exceptions import BadContent
from ops.export import queue
from ops.export.folder import new_folder
from ops.export.read import Promise
from ops.export.summary import SUMMARY
from ops.models import Export
from ops.typed import manage


def fetch(export: Export, target: Path, *, overwrite: bool) -> None:
    """Copy its files into the folder ``target``, whole and as they were exported, or not at all.

    Raises NotToBeHad, BadContent, BadTarget, Unwritable.
    """
    found = queue.files(export)
    promised = {name: Promise(**said) for name, said in (export.summary or {}).get("files", {}).items()}
    for name, promise in {SUMMARY: Promise(), **promised}.items():
        if name not in found:
            raise _refused(export, name, "it is missing")
        if promise.bytes not in (None, found[name]):
            raise _refused(export, name, f"it has {found[name]:,} bytes, not {promise.bytes:,}")
    with new_folder(target, overwrite=overwrite, mark=SUMMARY, ours=found) as folder:
        for name, promise in promised.items():
            if (sha256 := _copy(export, name, folder)) != promise.sha256:
                raise _refused(export, name, f"its SHA-256 is {sha256}, not {promise.sha256}")
        _copy(export, SUMMARY, folder)
        if not _says(folder / SUMMARY, export.summary):
            raise _refused(export, SUMMARY, "it is not the summary that was written")


def _copy(export: Export, name: str, folder: Path) -> str:
    """The SHA-256 of the copy, which is read back."""
    with queue.open_file(export, name) as source, (folder / name).open("x+b") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
        copy.seek(0)
        return hashlib.file_digest(copy, "sha256").hexdigest()


def _says(path: Path, summary: object) -> bool:
    try:
        return bool(json.loads(path.read_bytes()) == summary)
    except ValueError:
        return False


def _refused(export: Export, name: str, why: str) -> BadContent:
    return BadContent(
        f"{name} of export {export.pk} is not as it was exported: {why}. Nothing was fetched."
        f" To see what of it is whole: {manage('verify_export', export.path)}"
    )
