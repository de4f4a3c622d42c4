"""The operating system's user that a local server runs as: never root, which PostgreSQL refuses."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kyndo.localservices.errors import LocalServiceError


@dataclass(frozen=True)
class Account:
    """``uid`` and ``gid`` are None where the server simply runs as whoever asked for it."""

    uid: int | None = None
    gid: int | None = None

    @property
    def popen_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for `subprocess` that make the child this user, with nothing of ours about it."""
        who: dict[str, Any] = (
            {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}
        )
        # PG* and LC_* of the caller's shell must not reach the servers.
        return {**who, "umask": 0o077, "cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}

    def chown(self, path: Path) -> None:
        """Hand ``path`` to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def has_access(self, path: Path) -> bool:
        """Tell whether this user can walk down to ``path``."""
        if self.uid is None:
            return True
        return (
            subprocess.run(["/usr/bin/env", "test", "-x", path], check=False, **self.popen_kwargs).returncode
            == 0
        )

    def run(self, command: Sequence[str | Path], lock: IO[str]) -> None:
        """Run ``command`` to its end as this user; its own last words become the error.

        It holds ``lock`` too, so that where it outlives us whoever comes next waits for it.
        """
        inherited = {"pass_fds": [lock.fileno()], **self.popen_kwargs}
        done = subprocess.run(command, check=False, capture_output=True, text=True, **inherited)
        if done.returncode:
            words = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise LocalServiceError(f"{Path(command[0]).name} failed (exit {done.returncode}):\n{words}")


def find_account(data: Path) -> Account:
    """Return whom to run as: the caller, or for root the owner of ``data``, else postgres, else nobody."""
    if os.geteuid() != 0:
        return Account()
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LocalServiceError(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as.\n"
        "Create one (useradd --system postgres), or run this as an ordinary user."
    )
