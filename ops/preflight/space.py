"""Disk space: of the database where it can be known, of the folders that backups and exports go to."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings
from django.db import connection

from ops import words
from ops.preflight.finding import Finding, Light, Situation
from ops.sql.ask import ask

_MARGIN = 2**30  # bytes: WAL and sort files of a migration of small tables
_LOOK = "On the server: df -h. Then: --database-free 200GB"
_LOCAL = ("", "localhost", "127.0.0.1", "::1")


def database_disk(situation: Situation) -> Finding:
    """A rewrite or an index needs the room of the largest table again, and its WAL as much."""
    largest, table, total = _sizes()
    need = 2 * largest + _MARGIN
    told = f"the database has {words.size(total)}, {table} {words.size(largest)}"
    free = situation.answers.database_free
    if free is None:
        free = _free_of_data_directory()
    if free is None:
        found = f"Not to be known from here: {told}. {words.size(need)} should be free."
        return Finding(Light.YELLOW, found, todo=(_LOOK,))
    light = Light.GREEN if free >= need else Light.RED if free < largest + _MARGIN else Light.YELLOW
    todo = () if light == Light.GREEN else (f"Make room: {words.size(need)} should be free.",)
    return Finding(light, f"{words.size(free)} free; {told}.", todo=todo)


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


def _free_of_data_directory() -> int | None:
    """None where the server is elsewhere, or its folder is not for us to see."""
    if connection.settings_dict["HOST"] not in _LOCAL:
        return None
    if not ask("SELECT pg_has_role('pg_read_all_settings', 'MEMBER')")[0][0]:
        return None
    try:
        return shutil.disk_usage(ask("SHOW data_directory")[0][0]).free
    except OSError:
        return None


def _folders() -> dict[str, Path]:
    return {"backups": Path(settings.BACKUP_DIR), "exports": Path(settings.EXPORT_ROOT)}


def _free(folder: Path) -> int:
    """Of the folder, or of the one that it would be made in."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
