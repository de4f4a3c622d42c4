"""The free space of the database's disks, as far as it can be known."""

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
    """The free space cannot be known; the message says why."""


@dataclass(frozen=True)
class DiskSpace:
    """The free bytes of a disk; the label names it, as ``the disk of the WAL``."""

    label: str
    free_bytes: int


def local_disks() -> list[DiskSpace]:
    """Return the disks of a server on this host; empty if it is on another. Raises DiskSpaceUnknown."""
    pid = _local_backend_pid()
    return [] if pid is None else list(_iter_local_disks(pid))


def declared_disk(size: str) -> DiskSpace:
    """Return what is left of a disk of the configured size, as ``200GB``. Raises DiskSpaceUnknown.

    PostgreSQL has no function for the size of its disk, only for that of its databases and of its WAL.
    """
    if not size:
        raise DiskSpaceUnknown(
            "The server is on another host. Set the size of its disk: OPS_HEALTH_DATABASE_DISK=200GB"
        )
    _require_pg_monitor()
    databases, wal = fetch_all(_USED_BYTES_SQL)[0]
    return DiskSpace(f"the {size} of OPS_HEALTH_DATABASE_DISK", parse_size(size) - databases - wal)


def min_free_bytes() -> int | None:
    """Return the free bytes of the fullest disk of the database; None if unknown."""
    try:
        disks = local_disks() or [declared_disk(settings.OPS_HEALTH.database_disk)]
    except (DiskSpaceUnknown, ProgrammingError):
        return None
    return min(disk.free_bytes for disk in disks)


def _local_backend_pid() -> int | None:
    """Return our backend's process ID if it runs on this host; a local port may lead into a container."""
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
    """Yield the disks of the data directory (the process's cwd), the WAL and the tablespaces."""
    data = Path(f"/proc/{pid}/cwd")
    if not os.access(data, os.X_OK):  # another user's process
        _require_pg_monitor()
        data = Path(fetch_all("SHOW data_directory")[0][0])
    spaces = [Path(location) for (location,) in fetch_all(_TABLESPACES_SQL)]
    names = {data: "the data directory", data / "pg_wal": "the WAL"}
    devices: set[int] = set()
    for folder in (data, data / "pg_wal", *spaces):
        try:
            device = folder.stat().st_dev
        except OSError:  # no access
            continue
        if device not in devices:
            devices.add(device)
            yield DiskSpace(f"the disk of {names.get(folder, folder)}", shutil.disk_usage(folder).free)


def read_wal_size() -> int | None:
    """Return the bytes of the WAL; None if the role may not read it."""
    try:
        _require_pg_monitor()
    except DiskSpaceUnknown:
        return None
    size: int = fetch_all("SELECT sum(size)::bigint FROM pg_ls_waldir()")[0][0]
    return size


def _require_pg_monitor() -> None:
    [(allowed, user)] = fetch_all(_PG_MONITOR_SQL)
    if not allowed:
        raise DiskSpaceUnknown(f'The role "{user}" lacks pg_monitor: GRANT pg_monitor TO "{user}"')
