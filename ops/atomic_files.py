"""Files and folders that appear complete or not at all: written under another name, synced, then renamed."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from ops.exceptions import OpsError


class WriteFailed(OpsError):
    """The file could not be written; what was there before still is."""


def write_atomically(path: Path, text: str | Iterable[str], overwrite: bool, encoding: str = "utf-8") -> None:
    """Write a text, or one that comes in pieces. Raises WriteFailed, also if the file exists already."""
    if path.is_dir():
        raise WriteFailed(f"{path} is a folder: name a file in it")
    try:
        write_synced(path, text, overwrite=overwrite, encoding=encoding)
    except FileExistsError:
        raise WriteFailed(f"{path} exists already; to replace it, add --overwrite") from None
    except OSError as exc:
        raise WriteFailed(f"{path} cannot be written: {exc.strerror}") from exc


def write_synced(
    path: Path,
    text: str | Iterable[str],
    *,
    overwrite: bool,
    mode: int = 0o666,
    encoding: str = "utf-8",
) -> None:
    """Write the text to a temporary file, fsync it and give it the name. Raises OSError."""
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "w", encoding=encoding, newline="") as file:
            file.writelines([text] if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            os.link(temporary, path)  # unlike a rename, it replaces nothing
    finally:
        temporary.unlink(missing_ok=True)


def partial_path(target: Path) -> Path:
    """Return the name under which a long write fills a file or folder, beside its target and locked."""
    return target.absolute().with_name(f".{target.name}.partial")


def lock_exclusively(path: Path, descriptor: int) -> bool:
    """Lock the open file or folder until it is closed; return whether it still has that name.

    A process that is killed releases its lock, so what is not locked is an orphan. Raises BlockingIOError if
    another process holds the lock.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return is_same_file(path, descriptor)


def is_same_file(path: Path, descriptor: int) -> bool:
    """Whether the open file or folder still has that name."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def fsync_directory(folder: Path) -> None:
    """Sync the names in a folder, so that a rename survives a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
