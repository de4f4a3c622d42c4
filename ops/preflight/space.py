"""Checks of free disk space: of the database, and of the folders for backups and exports."""

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
    """A rewrite or an index needs the size of the largest table again, and the same in WAL."""
    largest, table, total = _read_sizes()
    need = 2 * largest + _MARGIN
    sizes = f"the database uses {format_size(total)}, {table} {format_size(largest)}"
    free = get_database_free_bytes(context)
    if free is None:
        message = f"Not visible from here; {sizes}. {format_size(need)} should be free."
        return Finding(Severity.YELLOW, message, todo=(_DISK_FREE_HINT,))
    severity = (
        Severity.GREEN if free >= need else Severity.RED if free < largest + _MARGIN else Severity.YELLOW
    )
    todo = () if severity == Severity.GREEN else (f"Make room: {format_size(need)} should be free.",)
    return Finding(severity, f"{format_size(free)} free; {sizes}.", todo=todo)


def get_database_free_bytes(context: PreflightContext) -> int | None:
    """Return --database-free, else what `ops.disk` can see; None if neither is known."""
    answer = context.answers.database_free
    return disk.min_free_bytes() if answer is None else answer


def check_local_disk(context: PreflightContext) -> Finding:
    """Compare with the size of the database: a dump or an export is seldom larger."""
    *_, total = _read_sizes()
    folders = {name: _free_bytes(Path(folder)) for name, folder in _output_folders().items()}
    details = tuple(f"{name}: {format_size(free)} free" for name, free in folders.items())
    least = min(folders.values())
    message = f"{format_size(least)} free here; the database uses {format_size(total)}."
    if least >= total:
        return Finding(Severity.GREEN, message)
    severity = Severity.RED if least < total // 4 else Severity.YELLOW
    return Finding(severity, message, details, ("Make room, or write backups and exports elsewhere.",))


def _read_sizes() -> tuple[int, str, int]:
    """Return the bytes of the largest table with its indexes, its name, and the bytes of the database."""
    rows = fetch_all(
        "SELECT pg_total_relation_size(c.oid), relname, pg_database_size(current_database()) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind IN ('r', 'm') AND nspname !~ '^pg_' ORDER BY 1 DESC LIMIT 1"
    )
    size, name, total = rows[0] if rows else (0, "no table", 0)
    return size, name, total


def _output_folders() -> dict[str, Path]:
    return {"backups": Path(settings.BACKUP_DIR), "exports": Path(settings.EXPORT_ROOT)}


def _free_bytes(folder: Path) -> int:
    """Return the free bytes of the folder's disk; the folder need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
