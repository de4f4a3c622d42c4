"""Which files of the storage nothing names, and which assets have no file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.core.files.storage import default_storage

from cards.models import Asset, Card
from ops.sql.staged_names import find_missing_names, find_unused_names
from ops.sql.staging import StagingTable

# What names a file. The audit log names others, which a revert needs.
_USERS = ((Asset, "file_path"), (Card, "image"), (Card, "thumbnail"))


@dataclass(frozen=True)
class StoredFiles:
    """The counts, and the first names of each kind."""

    files: int
    unused: int
    unused_names: list[str]
    missing: int
    missing_names: list[str]


def compare_stored_files(limit: int) -> StoredFiles:
    """List the whole storage and compare it with the catalogue. Changes nothing; needs a session."""
    with StagingTable(Asset, ["file_path"]) as staging:
        staging.copy_in([position, name] for position, name in enumerate(_iter_names("")))
        unused, unused_names = find_unused_names(staging, _USERS, limit)
        missing, missing_names = find_missing_names(staging, (Asset, "file_path"), limit)
        return StoredFiles(staging.row_count, unused, unused_names, missing, missing_names)


def _iter_names(folder: str) -> Iterator[str]:
    """Yield the names under the folder, without the temporary files of uploads."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:  # Nothing was stored yet, or the folder was deleted meanwhile.
        return
    for name in files:
        if not name.startswith("."):
            # A disk may hold a name that is not UTF-8; no row can have it.
            yield f"{folder}{name}".encode(errors="backslashreplace").decode()
    for name in folders:
        yield from _iter_names(f"{folder}{name}/")
