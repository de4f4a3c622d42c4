"""A folder that appears complete or not at all: written under another name, synced, and renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.atomic_files import fsync_directory, is_same_file, lock_exclusively, partial_path
from ops.exceptions import OpsError


class InvalidTarget(OpsError):
    """The folder cannot be created there: the arguments of the command are wrong."""

    exit_status = 2


class TargetLocked(InvalidTarget):
    """Another process is writing the same folder."""


class TargetNotWritable(OpsError):
    """The file system refused to write; nothing was left on it."""


@contextmanager
def atomic_directory(
    target: Path, *, overwrite: bool, marker: str, allowed: Collection[str]
) -> Iterator[Path]:
    """Yield a folder to fill. It becomes ``target`` when the block ends, and is removed when it fails.

    Only an export is overwritten: a folder that is empty, or has the file ``marker`` and no names that are
    not in ``allowed``. Raises InvalidTarget, TargetLocked, TargetNotWritable.
    """
    check_target(target, overwrite=overwrite, marker=marker, allowed=allowed)
    target = target.absolute()
    try:
        with _locked_directory(partial_path(target)) as partial:
            _restore_previous(target, marker)
            check_target(target, overwrite=overwrite, marker=marker, allowed=allowed)
            yield partial
            check_target(target, overwrite=overwrite, marker=marker, allowed=allowed)
            fsync_directory(partial)
            _replace_directory(partial, target)
            fsync_directory(target.parent)
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise TargetNotWritable(f"Nothing was exported: {target} cannot be written: {exc.strerror}.") from exc


def check_target(target: Path, *, overwrite: bool, marker: str, allowed: Collection[str]) -> None:
    """Raise InvalidTarget where a folder cannot be created, or would replace what is not an export."""
    if "\0" in str(target):
        raise InvalidTarget("The folder's name contains a NUL character: name another folder.")
    if not target.absolute().parent.is_dir():
        raise InvalidTarget(f"There is no folder {target.absolute().parent} to make {target.name} in.")
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        kind = "a link" if target.is_symlink() else "not a folder"
        raise InvalidTarget(f"{target} is {kind}: name another.")
    names = {entry.name for entry in target.iterdir()}
    if not overwrite:
        raise InvalidTarget(f"{target} exists. Name another folder, or replace it with --overwrite.")
    if names and (marker not in names or not names <= set(allowed)):
        raise InvalidTarget(
            f"{target} has files that no export wrote: it is not overwritten. Name another folder."
        )


@contextmanager
def _locked_directory(folder: Path) -> Iterator[Path]:
    """Yield an empty folder, locked for this process; it is removed at the end unless it was renamed.

    One that a killed process left behind is emptied and used again.
    """
    descriptor = _open_locked(folder)
    try:
        for path in folder.iterdir():
            path.unlink()
        yield folder
    finally:
        if is_same_file(folder, descriptor):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _open_locked(folder: Path) -> int:
    """Create the folder, lock it, and return its file descriptor. Raises TargetLocked."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            locked = lock_exclusively(folder, descriptor)
        except BlockingIOError as exc:
            os.close(descriptor)
            raise TargetLocked(
                f"Another export is being written to the same place, in {folder}.",
                "Wait until it has ended, or name another folder.",
            ) from exc
        if locked:
            return descriptor
        os.close(descriptor)  # Its owner has just renamed or removed it.


def _replace_directory(partial: Path, target: Path) -> None:
    """Rename ``partial`` to ``target``.

    A folder cannot be renamed over one that is not empty, so the previous one is renamed first, and restored
    on an error.
    """
    if not target.exists():
        partial.rename(target)
        return
    previous = _previous_path(target)
    shutil.rmtree(previous, ignore_errors=True)
    target.rename(previous)
    try:
        partial.rename(target)
    except OSError:
        previous.rename(target)
        raise
    shutil.rmtree(previous, ignore_errors=True)


def _restore_previous(target: Path, marker: str) -> None:
    """Restore the previous export, where a process was killed between the renames of `_replace_directory`."""
    if not os.path.lexists(target) and (_previous_path(target) / marker).is_file():
        _previous_path(target).rename(target)


def _previous_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
