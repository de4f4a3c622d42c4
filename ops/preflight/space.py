"""Disk space: of the database where it can be known, of the folders that backups and exports go to."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from ops import disk, words
from ops.preflight.finding import Finding, Light, Situation
from ops.sql.ask import ask

_MARGIN = 2**30  # bytes: WAL and sort files of a migration of small tables
_LOOK = "On the server: df -h. Then: --database-free 200GB"


def database_disk(situation: Situation) -> Finding:
    """A rewrite or an index needs the room of the largest table again, and its WAL as much."""
    largest, table, total = _sizes()
    need = 2 * largest + _MARGIN
    told = f"the database has {words.size(total)}, {table} {words.size(largest)}"
    free = free_of(situation)
    if free is None:
        found = f"Not to be known from here: {told}. {words.size(need)} should be free."
        return Finding(Light.YELLOW, found, todo=(_LOOK,))
    light = Light.GREEN if free >= need else Light.RED if free < largest + _MARGIN else Light.YELLOW
    todo = () if light == Light.GREEN else (f"Make room: {words.size(need)} should be free.",)
    return Finding(light, f"{words.size(free)} free; {told}.", todo=todo)


def free_of(situation: Situation) -> int | None:
    """The free bytes of the database's disk, as somebody told or as it can be known."""
    told = situation.answers.database_free
    return disk.free() if told is None else told


def local_disk(situation: Situation) -> Finding:
    """A dump or an export is seldom larger than the database."""
    *_, total = _sizes()
    folders = {name: _free(Path(folder)) for name, folder in _folders().items()}
    details = tuple(f"{name}: {words.size(free)} free" for name, free in folders.items())
    least = min(folders.values())
    told = f"{words.size(least)} free here; the database has {words.size(total)}."
    if least >= total:
        return Finding(Light.GREEN, told)
    light = Light.RED if least < total // 4 else Light.YELLOW
    return Finding(light, told, details, ("Make room, or write backups and exports elsewhere.",))


def _sizes() -> tuple[int, str, int]:
    """The bytes of the largest table with its indexes, its name, and the bytes of the database."""
    found = ask(
        "SELECT pg_total_relation_size(c.oid), relname, pg_database_size(current_database()) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind IN ('r', 'm') AND nspname !~ '^pg_' ORDER BY 1 DESC LIMIT 1"
    )
    bytes_, name, total = found[0] if found else (0, "no table", 0)
    return bytes_, name, total


def _folders() -> dict[str, Path]:
    return {"backups": Path(settings.BACKUP_DIR), "exports": Path(settings.EXPORT_ROOT)}


def _free(folder: Path) -> int:
    """Of the folder, or of the one that it would be made in."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
