"""Disk space: of the database where it can be known, of the folders that backups and exports go to."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from ops import disk
from ops.formatting import format_size
from ops.preflight.finding import Finding, PreflightContext, Severity
from ops.sql.query import fetch_all

_MARGIN = 2**30  # bytes: WAL and sort files of a migration of small tables
_DISK_FREE_HINT = "On the server: df -h. Then: --database-free 200GB"


def check_database_disk(context: PreflightContext) -> Finding:
    """A rewrite or an index needs the room of the largest table again, and its WAL as much."""
    largest, table, total = _read_sizes()
    need = 2 * largest + _MARGIN
    told = f"the database has {format_size(total)}, {table} {format_size(largest)}"
    free = get_database_free_bytes(context)
    if free is None:
        found = f"Not to be known from here: {told}. {format_size(need)} should be free."
        return Finding(Severity.YELLOW, found, todo=(_DISK_FREE_HINT,))
    severity = (
        Severity.GREEN if free >= need else Severity.RED if free < largest + _MARGIN else Severity.YELLOW
    )
    todo = () if severity == Severity.GREEN else (f"Make room: {format_size(need)} should be free.",)
    return Finding(severity, f"{format_size(free)} free; {told}.", todo=todo)


def get_database_free_bytes(context: PreflightContext) -> int | None:
    """The free bytes of the database's disk, as somebody told or as it can be known."""
    told = context.answers.database_free
    return disk.min_free_bytes() if told is None else told


def check_local_disk(context: PreflightContext) -> Finding:
    """A dump or an export is seldom larger than the database."""
    *_, total = _read_sizes()
    folders = {name: _free_bytes(Path(folder)) for name, folder in _output_folders().items()}
    details = tuple(f"{name}: {format_size(free)} free" for name, free in folders.items())
    least = min(folders.values())
    told = f"{format_size(least)} free here; the database has {format_size(total)}."
    if least >= total:
        return Finding(Severity.GREEN, told)
    severity = Severity.RED if least < total // 4 else Severity.YELLOW
    return Finding(severity, told, details, ("Make room, or write backups and exports elsewhere.",))


def _read_sizes() -> tuple[int, str, int]:
    """The bytes of the largest table with its indexes, its name, and the bytes of the database."""
    found = fetch_all(
        "SELECT pg_total_relation_size(c.oid), relname, pg_database_size(current_database()) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind IN ('r', 'm') AND nspname !~ '^pg_' ORDER BY 1 DESC LIMIT 1"
    )
    bytes_, name, total = found[0] if found else (0, "no table", 0)
    return bytes_, name, total


def _output_folders() -> dict[str, Path]:
    return {"backups": Path(settings.BACKUP_DIR), "exports": Path(settings.EXPORT_ROOT)}


def _free_bytes(folder: Path) -> int:
    """Of the folder, or of the one that it would be made in."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
