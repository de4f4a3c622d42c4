"""How much room the disks of the database have, as far as that can be known from here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import ProgrammingError, connection

from ops.reading import read_size
from ops.sql.ask import ask

_LOCAL = ("", "localhost", "127.0.0.1", "::1")
# All databases of the server share its disk, and so does the WAL.
_USED = """
SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint,
    (SELECT sum(size) FROM pg_ls_waldir())::bigint
"""
_ROLE = "SELECT pg_has_role('pg_monitor', 'USAGE'), current_user"
_TABLESPACES = "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''"


class Unknown(Exception):
    """Nobody can say from here how much is free, and why."""


@dataclass(frozen=True)
class Room:
    """``free`` bytes of the disk that ``where`` names."""

    where: str
    free: int


def local() -> list[Room]:
    """The disks of a server on this host; empty where it is elsewhere. Raises Unknown."""
    pid = _backend_here()
    return [] if pid is None else list(_folders(pid))


def declared(told: str) -> Room:
    """What is left of a disk whose size somebody told, as ``200GB``. Raises Unknown.

    PostgreSQL has no function that tells of its disk: of a server elsewhere is known what its databases and
    its WAL take.
    """
    if not told:
        raise Unknown("The server is elsewhere. Say how big its disk is: OPS_HEALTH_DATABASE_DISK=200GB")
    _require_role()
    databases, wal = ask(_USED)[0]
    return Room(f"the {told} of OPS_HEALTH_DATABASE_DISK", read_size(told) - databases - wal)


def free() -> int | None:
    """What the fullest disk of the database has; None where nobody knows."""
    try:
        found = local() or [declared(settings.OPS_HEALTH.database_disk)]
    except (Unknown, ProgrammingError):
        return None
    return min(room.free for room in found)


def _backend_here() -> int | None:
    """The process that serves us, where it is one of this host: a port may lead into a container."""
    host = connection.settings_dict["HOST"]
    if host not in _LOCAL and not host.startswith("/"):
        return None
    [(pid,)] = ask("SELECT pg_backend_pid()")
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    return pid if name.startswith("postgres") else None


def _folders(pid: int) -> Iterator[Room]:
    """Those of the data directory, in which the process stands, of the WAL and of tablespaces."""
    data = Path(f"/proc/{pid}/cwd")
    if not os.access(data, os.X_OK):  # another user's process
        _require_role()
        data = Path(ask("SHOW data_directory")[0][0])
    spaces = [Path(location) for (location,) in ask(_TABLESPACES)]
    names = {data: "the data directory", data / "pg_wal": "the WAL"}
    seen: set[int] = set()
    for folder in (data, data / "pg_wal", *spaces):
        try:
            device = folder.stat().st_dev
        except OSError:  # not for us to see
            continue
        if device not in seen:
            seen.add(device)
            yield Room(f"the disk of {names.get(folder, folder)}", shutil.disk_usage(folder).free)


def wal_taken() -> int | None:
    """The bytes of the WAL that there is; None where our role may not see it."""
    try:
        _require_role()
    except Unknown:
        return None
    found: int = ask("SELECT sum(size)::bigint FROM pg_ls_waldir()")[0][0]
    return found


def _require_role() -> None:
    [(allowed, user)] = ask(_ROLE)
    if not allowed:
        raise Unknown(f'The role "{user}" lacks pg_monitor: GRANT pg_monitor TO "{user}"')
