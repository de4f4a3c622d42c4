"""The operating system user that a local server runs as: never root, which PostgreSQL refuses."""

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
    """A user; ``uid`` and ``gid`` are None for the current one."""

    uid: int | None = None
    gid: int | None = None

    @property
    def popen_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for `subprocess`: run the child as this user, with a clean environment."""
        user: dict[str, Any] = (
            {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}
        )
        # PG* and LC_* of the caller's shell must not reach the servers.
        return {**user, "umask": 0o077, "cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}

    def chown(self, path: Path) -> None:
        """Hand ``path`` to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def has_access(self, path: Path) -> bool:
        """Return whether this user can execute or enter ``path``."""
        if self.uid is None:
            return True
        return (
            subprocess.run(["/usr/bin/env", "test", "-x", path], check=False, **self.popen_kwargs).returncode
            == 0
        )

    def run(self, command: Sequence[str | Path], lock: IO[str]) -> None:
        """Run ``command`` as this user; raise LocalServiceError with the end of its stderr if it fails.

        The child inherits ``lock``: if it outlives this process, the next start waits for it.
        """
        inherited = {"pass_fds": [lock.fileno()], **self.popen_kwargs}
        done = subprocess.run(command, check=False, capture_output=True, text=True, **inherited)
        if done.returncode:
            output = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise LocalServiceError(f"{Path(command[0]).name} failed (exit {done.returncode}):\n{output}")


def find_account(data: Path) -> Account:
    """Return the current user; for root, the owner of ``data``, else postgres, else nobody."""
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
