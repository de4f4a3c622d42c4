"""A copy of the project, with a database of its own."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from time import monotonic

from bench.engine.databases import ROOT, build_environment

_PACKAGES = ("kyndo", "cards", "ops")


class Checkout:
    """The copy in ``folder``, and the database at ``url``. ``seconds`` is the time of the last command.

    It is a copy of this tree, or of the ``commit``.
    """

    def __init__(self, folder: Path, url: str, commit: str = "") -> None:
        self.folder, self.url, self.seconds = folder, url, 0.0
        if commit:
            _extract(commit, folder)
        else:
            for package in _PACKAGES:
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / package, folder / package, ignore=ignored)
            shutil.copy(ROOT / "manage.py", folder)
        self.environment = {
            **build_environment(url),
            "BACKUP_DIR": str(folder / "backups"),
            "LOGNAME": "bench",
        }

    def manage(self, *args: str, status: int = 0) -> str:
        """Run a management command and return its output. Raises SystemExit for another exit status."""
        began = monotonic()
        done = subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=self.folder,
            env=self.environment,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.seconds = monotonic() - began
        if done.returncode != status:
            raise SystemExit(f"manage.py {' '.join(args)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the only occurrence of a text in a file, as a developer would."""
        file = self.folder / path
        text = file.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{path} has {text.count(old)} of {old!r}, and not one")
        file.write_text(text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        file = self.folder / path
        file.write_text(file.read_text() + text)


def _extract(commit: str, folder: Path) -> None:
    """Extract the project as it was in the commit. Raises SystemExit if there is no such commit."""
    command = [str(shutil.which("git")), "archive", commit, "manage.py", *_PACKAGES]
    archive = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    if archive.returncode:
        raise SystemExit(f"{commit} is no commit of this project: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
