"""How much room the disks of the database have, as far as that can be known from here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import ProgrammingError, connection

from ops.parsing import parse_size
from ops.sql.query import fetch_all

_LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")
# All databases of the server share its disk, and so does the WAL.
_USED_BYTES_SQL = """
SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint,
    (SELECT sum(size) FROM pg_ls_waldir())::bigint
"""
_PG_MONITOR_SQL = "SELECT pg_has_role('pg_monitor', 'USAGE'), current_user"
_TABLESPACES_SQL = (
    "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''"
)


class DiskSpaceUnknown(Exception):
    """Nobody can say from here how much is free, and why."""


@dataclass(frozen=True)
class DiskSpace:
    """``free`` bytes of the disk that ``where`` names."""

    where: str
    free: int


def local_disks() -> list[DiskSpace]:
    """The disks of a server on this host; empty where it is elsewhere. Raises Unknown."""
    pid = _local_backend_pid()
    return [] if pid is None else list(_iter_local_disks(pid))


def declared_disk(told: str) -> DiskSpace:
    """What is left of a disk whose size somebody told, as ``200GB``. Raises Unknown.

    PostgreSQL has no function that tells of its disk: of a server elsewhere is known what its databases and
    its WAL take.
    """
    if not told:
        raise DiskSpaceUnknown(
            "The server is elsewhere. Say how big its disk is: OPS_HEALTH_DATABASE_DISK=200GB"
        )
    _require_pg_monitor()
    databases, wal = fetch_all(_USED_BYTES_SQL)[0]
    return DiskSpace(f"the {told} of OPS_HEALTH_DATABASE_DISK", parse_size(told) - databases - wal)


def min_free_bytes() -> int | None:
    """What the fullest disk of the database has; None where nobody knows."""
    try:
        found = local_disks() or [declared_disk(settings.OPS_HEALTH.database_disk)]
    except (DiskSpaceUnknown, ProgrammingError):
        return None
    return min(room.free for room in found)


def _local_backend_pid() -> int | None:
    """The process that serves us, where it is one of this host: a port may lead into a container."""
    host = connection.settings_dict["HOST"]
    if host not in _LOCAL_HOSTS and not host.startswith("/"):
        return None
    [(pid,)] = fetch_all("SELECT pg_backend_pid()")
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    return pid if name.startswith("postgres") else None


def _iter_local_disks(pid: int) -> Iterator[DiskSpace]:
    """Those of the data directory, in which the process stands, of the WAL and of tablespaces."""
    data = Path(f"/proc/{pid}/cwd")
    if not os.access(data, os.X_OK):  # another user's process
        _require_pg_monitor()
        data = Path(fetch_all("SHOW data_directory")[0][0])
    spaces = [Path(location) for (location,) in fetch_all(_TABLESPACES_SQL)]
    names = {data: "the data directory", data / "pg_wal": "the WAL"}
    seen: set[int] = set()
    for folder in (data, data / "pg_wal", *spaces):
        try:
            device = folder.stat().st_dev
        except OSError:  # not for us to see
            continue
        if device not in seen:
            seen.add(device)
            yield DiskSpace(f"the disk of {names.get(folder, folder)}", shutil.disk_usage(folder).free)


def read_wal_size() -> int | None:
    """The bytes of the WAL that there is; None where our role may not see it."""
    try:
        _require_pg_monitor()
    except DiskSpaceUnknown:
        return None
    found: int = fetch_all("SELECT sum(size)::bigint FROM pg_ls_waldir()")[0][0]
    return found


def _require_pg_monitor() -> None:
    [(allowed, user)] = fetch_all(_PG_MONITOR_SQL)
    if not allowed:
        raise DiskSpaceUnknown(f'The role "{user}" lacks pg_monitor: GRANT pg_monitor TO "{user}"')
