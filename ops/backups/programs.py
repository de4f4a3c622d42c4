"""pg_dump, pg_restore and psql: which ones, and how they are run."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from django.conf import settings

from ops.backups.errors import Failed, NoProgram
from ops.backups.server import Server

_INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_SECONDS_TO_END = 10


@dataclass(frozen=True)
class Programs:
    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

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


def choose(major: int) -> Programs:
    """The ones nearest to a server of that major version, and not older. Raises NoProgram."""
    found = []
    for programs in _installed():
        if programs.major == major:
            return programs
        found.append(programs)
    if newer := [programs for programs in found if programs.major > major]:
        return min(newer, key=lambda programs: programs.major)
    told = ", ".join(f"{programs.version} in {programs.folder}" for programs in found) or "none"
    raise NoProgram(
        f"The server is PostgreSQL {major}, which needs pg_dump, pg_restore and psql {major} or newer;"
        f" found: {told}.\n"
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
    if not all((folder / name).is_file() for name in ("pg_dump", "pg_restore", "psql")):
        return None
    try:
        asked: list[str | Path] = [folder / "pg_dump", "--version"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\) (\d+\S*)", said)
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
