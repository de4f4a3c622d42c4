"""Exports that workers write: requested, cancelled, enqueued again when lost, and read.

The state of an export is in PostgreSQL; Redis only wakes a worker, as it does for runs.
"""

from __future__ import annotations

import os
import secrets
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from ops.clock import is_recent
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.export.folder import check_target
from ops.export.lifecycle import transition
from ops.export.request import ExportRequest
from ops.export.summary import SUMMARY_FILENAME
from ops.export.write import all_file_names
from ops.models import Export, ExportState
from ops.queue import liveness
from ops.queue.enqueue import enqueue_missing_jobs

MAX_ATTEMPTS = 3
_NOT_CANCELLABLE = {
    ExportState.QUEUED: "was queued again in the meantime. Cancel it again",
    ExportState.RUNNING: "was started in the meantime. Cancel it again",
    ExportState.CANCELLING: "is already being cancelled",
    ExportState.SUCCEEDED: "has already succeeded, so it cannot be cancelled",
    ExportState.CANCELLED: "is already cancelled",
    ExportState.FAILED: "has already failed, so it cannot be cancelled",
}
_NOT_FETCHABLE = {
    ExportState.QUEUED: "is still queued, so there is nothing to fetch yet",
    ExportState.RUNNING: "is still running, so there is nothing to fetch yet",
    ExportState.CANCELLING: "is being cancelled, so there is nothing to fetch",
    ExportState.CANCELLED: "is cancelled, so there is nothing to fetch",
    ExportState.FAILED: "has failed, so there is nothing to fetch",
}


class UnknownExport(OpsError):
    exit_status = 2


class ExportUnavailable(OpsError):
    """The state of the export does not allow it, or its files cannot be read."""


def request_export(request: ExportRequest, performed_by: str, path: str = "") -> tuple[Export, str]:
    """Queue an export; return it with a warning for a person where no worker takes it up now, else "".

    Without a path it is written into settings.EXPORT_ROOT, under its number and a random suffix: after a
    restore numbers are used again. Raises InvalidScope, InvalidTarget.
    """
    datasets = request.datasets()  # errors are raised here, not in the worker
    if path:
        check_target(
            Path(path),
            overwrite=request.overwrite,
            marker=SUMMARY_FILENAME,
            allowed=all_file_names(datasets),
        )
    with transaction.atomic():
        export = Export.objects.create(asked=request.as_json(), path=path, performed_by=performed_by)
        if not path:
            name = f"{export.pk}-{secrets.token_hex(4)}"
            export.path = str(Path(settings.EXPORT_ROOT).absolute() / name)
            export.save(update_fields=["path"])
    return export, enqueue_export(export)


def heartbeat_expired() -> Q:
    """Whether the export's worker has missed several heartbeats, as a filter."""
    return ~is_recent("heartbeat_at", liveness.heartbeat_timeout())


def enqueue_export(export: Export) -> str:
    """Put a job for the export on the queue, unless one waits there. Returns a warning, or ""."""
    return enqueue_missing_jobs("export", export.pk, 1)


def get_export(number: int) -> Export:
    """Raises UnknownExport."""
    try:
        return Export.objects.get(pk=number)
    except Export.DoesNotExist as exc:
        raise UnknownExport(
            f"There is no export {number}. To list them: {manage_command('exports')}"
        ) from exc


def cancel_export(export: Export) -> None:
    """Cancel a queued export now, a running one within a second or two. Raises ExportUnavailable."""
    exports = Export.objects.filter(pk=export.pk)
    queued = exports.filter(state=ExportState.QUEUED)
    moved = transition(queued, ExportState.CANCELLED) or transition(exports, ExportState.CANCELLING)
    export.refresh_from_db()
    if not moved:
        raise _wrong_state_error(export, _NOT_CANCELLABLE)


def requeue_lost() -> None:
    """Enqueue again the exports whose worker was lost, and end those that were to be cancelled.

    Raises RedisError, Error.
    """
    lost = Export.objects.filter(heartbeat_expired())
    transition(lost.filter(state=ExportState.CANCELLING), ExportState.CANCELLED)
    transition(
        lost.filter(state=ExportState.RUNNING, attempts__gte=MAX_ATTEMPTS),
        ExportState.FAILED,
        error=f"The worker was lost {MAX_ATTEMPTS} times. Its log may say why.",
    )
    for export in lost.filter(state__in=(ExportState.QUEUED, ExportState.RUNNING)):
        enqueue_export(export)


def get_export_folder(export: Export) -> Path:
    """Return the folder with its files. Raises ExportUnavailable where it has none, or they are elsewhere."""
    if export.state != ExportState.SUCCEEDED:
        raise _wrong_state_error(export, _NOT_FETCHABLE)
    folder = Path(export.path)
    if not os.path.isdir(folder):  # also where this user may not read its parent
        raise ExportUnavailable(
            f"Export {export.pk} was written to {folder}, which this machine does not have.",
            "Fetch it on the machine of its worker.",
        )
    return folder


def _wrong_state_error(export: Export, problems: dict[ExportState, str]) -> ExportUnavailable:
    return ExportUnavailable(
        f"Export {export.pk} {problems[ExportState(export.state)]}.",
        f"To see it: {manage_command('exports', 'show', export.pk)}",
    )


def list_files(export: Export) -> dict[str, int]:
    """Return the size in bytes of each file that the summary names; links are left out.

    Raises ExportUnavailable.
    """
    folder, names = get_export_folder(export), {SUMMARY_FILENAME, *(export.summary or {}).get("files", ())}
    try:
        with os.scandir(folder) as entries:
            files = [each for each in entries if each.name in names and each.is_file(follow_symlinks=False)]
            return {entry.name: entry.stat().st_size for entry in sorted(files, key=attrgetter("name"))}
    except OSError as exc:
        raise ExportUnavailable(f"Export {export.pk} cannot be read in {folder}: {exc.strerror}.") from exc


def open_file(export: Export, name: str) -> BinaryIO:
    """Open one of its files. Raises ExportUnavailable, also for a name that is not one of them."""
    if name not in list_files(export):
        raise ExportUnavailable(f"Export {export.pk} has no file {name!r}.")
    try:
        return open(get_export_folder(export) / name, "rb", opener=_open_no_follow)
    except OSError as exc:
        raise ExportUnavailable(f"{name} of export {export.pk} cannot be read: {exc.strerror}.") from exc


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)
