"""A folder that appears whole or not at all: written beside its place, synced, and renamed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.exceptions import OpsError
from ops.whole import is_at, sync


class BadTarget(OpsError):
    """The folder cannot be made there: the command was given the wrong words."""

    exit_status = 2


class Taken(BadTarget):
    """Another process is writing the same folder."""


class Unwritable(OpsError):
    """The disk refused; nothing was left on it."""


@contextmanager
def new_folder(target: Path, *, overwrite: bool, mark: str, ours: Collection[str]) -> Iterator[Path]:
    """A folder to fill, which becomes ``target`` when the block ends, and is removed when it fails.

    Only a folder of ours is overwritten: one that is empty, or holds the file ``mark`` and beside it none
    but those in ``ours``.
    """
    check(target, overwrite=overwrite, mark=mark, ours=ours)
    target = target.absolute()
    try:
        with _claimed(target.with_name(f".{target.name}.partial")) as partial:
            _put_back(target, mark)
            check(target, overwrite=overwrite, mark=mark, ours=ours)
            yield partial
            check(target, overwrite=overwrite, mark=mark, ours=ours)
            sync(partial)
            _replace(partial, target)
            sync(target.parent)
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise Unwritable(f"Nothing was exported: {target} cannot be written: {exc.strerror}.") from exc


def check(target: Path, *, overwrite: bool, mark: str, ours: Collection[str]) -> None:
    """Raise BadTarget where a folder could not appear there, or would hide what is not ours."""
    if "\0" in str(target):
        raise BadTarget("The folder's name holds a NUL character.")
    if not target.absolute().parent.is_dir():
        raise BadTarget(f"There is no folder {target.absolute().parent} to make {target.name} in.")
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise BadTarget(f"{target} is {'a link' if target.is_symlink() else 'no folder'}: name another.")
    found = {entry.name for entry in target.iterdir()}
    if not overwrite:
        raise BadTarget(f"{target} exists. Name another folder, or replace it with --overwrite.")
    if found and (mark not in found or not found <= set(ours)):
        raise BadTarget(f"{target} holds more than an export: it is not overwritten. Name another folder.")


@contextmanager
def _claimed(folder: Path) -> Iterator[Path]:
    """An empty folder locked for this process, removed at the end unless it was renamed.

    One that a killed process left is cleared and used again.
    """
    number = _lock(folder)
    try:
        for left in folder.iterdir():
            left.unlink()
        yield folder
    finally:
        if is_at(folder, number):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(number)


def _lock(folder: Path) -> int:
    while True:
        folder.mkdir(exist_ok=True)
        try:
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(number)
            raise Taken(f"Another export to the same place is being written, in {folder}.") from exc
        if is_at(folder, number):
            return number
        os.close(number)  # Its owner has just renamed or removed it.


def _replace(partial: Path, target: Path) -> None:
    """A full folder cannot be renamed over another: the old one steps aside first, and back on an error."""
    if not target.exists():
        partial.rename(target)
        return
    old = _aside(target)
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _put_back(target: Path, mark: str) -> None:
    """A process killed between the two renames of `_replace` left the old export aside, and no other."""
    if not os.path.lexists(target) and (_aside(target) / mark).is_file():
        _aside(target).rename(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
