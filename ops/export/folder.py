"""A folder that appears whole or not at all: written beside its place, synced, and renamed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.atomic_files import fsync_directory, is_same_file
from ops.exceptions import OpsError


class InvalidTarget(OpsError):
    """The folder cannot be made there: the command was given the wrong words."""

    exit_status = 2


class TargetLocked(InvalidTarget):
    """Another process is writing the same folder."""


class TargetNotWritable(OpsError):
    """The disk refused; nothing was left on it."""


@contextmanager
def atomic_directory(target: Path, *, overwrite: bool, mark: str, ours: Collection[str]) -> Iterator[Path]:
    """A folder to fill, which becomes ``target`` when the block ends, and is removed when it fails.

    Only a folder of ours is overwritten: one that is empty, or holds the file ``mark`` and beside it none
    but those in ``ours``.
    """
    check_target(target, overwrite=overwrite, mark=mark, ours=ours)
    target = target.absolute()
    try:
        with _locked_directory(target.with_name(f".{target.name}.partial")) as partial:
            _restore_previous(target, mark)
            check_target(target, overwrite=overwrite, mark=mark, ours=ours)
            yield partial
            check_target(target, overwrite=overwrite, mark=mark, ours=ours)
            fsync_directory(partial)
            _replace_directory(partial, target)
            fsync_directory(target.parent)
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise TargetNotWritable(f"Nothing was exported: {target} cannot be written: {exc.strerror}.") from exc


def check_target(target: Path, *, overwrite: bool, mark: str, ours: Collection[str]) -> None:
    """Raise BadTarget where a folder could not appear there, or would hide what is not ours."""
    if "\0" in str(target):
        raise InvalidTarget("The folder's name holds a NUL character.")
    if not target.absolute().parent.is_dir():
        raise InvalidTarget(f"There is no folder {target.absolute().parent} to make {target.name} in.")
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise InvalidTarget(f"{target} is {'a link' if target.is_symlink() else 'no folder'}: name another.")
    found = {entry.name for entry in target.iterdir()}
    if not overwrite:
        raise InvalidTarget(f"{target} exists. Name another folder, or replace it with --overwrite.")
    if found and (mark not in found or not found <= set(ours)):
        raise InvalidTarget(
            f"{target} holds more than an export: it is not overwritten. Name another folder."
        )


@contextmanager
def _locked_directory(folder: Path) -> Iterator[Path]:
    """An empty folder locked for this process, removed at the end unless it was renamed.

    One that a killed process left is cleared and used again.
    """
    number = _open_locked(folder)
    try:
        for left in folder.iterdir():
            left.unlink()
        yield folder
    finally:
        if is_same_file(folder, number):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(number)


def _open_locked(folder: Path) -> int:
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
            raise TargetLocked(f"Another export to the same place is being written, in {folder}.") from exc
        if is_same_file(folder, number):
            return number
        os.close(number)  # Its owner has just renamed or removed it.


def _replace_directory(partial: Path, target: Path) -> None:
    """A full folder cannot be renamed over another: the old one steps aside first, and back on an error."""
    if not target.exists():
        partial.rename(target)
        return
    old = _previous_path(target)
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _restore_previous(target: Path, mark: str) -> None:
    """A process killed between the two renames of `_replace` left the old export aside, and no other."""
    if not os.path.lexists(target) and (_previous_path(target) / mark).is_file():
        _previous_path(target).rename(target)


def _previous_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
