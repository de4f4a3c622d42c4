"""A file that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from ops.exceptions import OpsError


class WriteFailed(OpsError):
    """The file could not be written; what was there before still is."""


def write_atomically(path: Path, text: str | Iterable[str], overwrite: bool) -> None:
    """Write a text, or one that comes in pieces.

    Raises NotWritten, also where something is there that may not be overwritten.
    """
    if path.is_dir():
        raise WriteFailed(f"{path} is a folder: name a file in it")
    new = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        try:
            with new.open("x", encoding="utf-8") as file:
                file.writelines([text] if isinstance(text, str) else text)
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                new.replace(path)
            else:
                os.link(new, path)  # unlike a rename, it replaces nothing
        finally:
            new.unlink(missing_ok=True)
    except FileExistsError:
        raise WriteFailed(f"{path} is there already; to replace it, add --overwrite") from None
    except OSError as exc:
        raise WriteFailed(f"{path} cannot be written: {exc.strerror}") from exc


def fsync_directory(folder: Path) -> None:
    """Make the names in a folder outlive a crash of the machine."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def is_same_file(path: Path, number: int) -> bool:
    """Whether the open file or folder still has that name."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(number))
    except FileNotFoundError:
        return False
