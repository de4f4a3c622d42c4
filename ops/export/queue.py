"""Exports that the workers write: asked for, cancelled, called again when lost, and fetched.

The database is the truth, the queue only the bell, as it is for runs.
"""

from __future__ import annotations

import os
import secrets
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from ops.clock import is_recent
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.export.folder import check_target
from ops.export.request import ExportRequest
from ops.export.summary import SUMMARY_FILENAME
from ops.export.write import all_file_names
from ops.models import Export, ExportState
from ops.queue import liveness
from ops.queue.enqueue import enqueue_missing_jobs

MAX_ATTEMPTS = 3
ACTIVE_STATES = (ExportState.QUEUED, ExportState.RUNNING, ExportState.CANCELLING)
HEARTBEAT_EXPIRED = ~is_recent("heartbeat_at", liveness.HEARTBEAT_TIMEOUT)


class UnknownExport(OpsError):
    exit_status = 2


class ExportUnavailable(OpsError):
    """The export is not in the state for it."""


def request_export(wanted: ExportRequest, performed_by: str, path: str = "") -> tuple[Export, str]:
    """Leave an export to the workers; with a warning in words, or "", where nobody hears of it yet.

    Without a path it is written into settings.EXPORT_ROOT, under its number and a word of its own: after a
    restore the same numbers come again.
    """
    parts = wanted.parts()  # what is wrong is told now, not by the worker
    if path:
        check_target(
            Path(path), overwrite=wanted.overwrite, mark=SUMMARY_FILENAME, ours=all_file_names(parts)
        )
    with transaction.atomic():
        export = Export.objects.create(asked=wanted.as_json(), path=path, performed_by=performed_by)
        if not path:
            name = f"{export.pk}-{secrets.token_hex(4)}"
            export.path = str(Path(settings.EXPORT_ROOT).absolute() / name)
            export.save(update_fields=["path"])
    return export, enqueue_export(export)


def enqueue_export(export: Export) -> str:
    """Put a job for the export on the queue, unless one waits there. Returns a warning, or ""."""
    return enqueue_missing_jobs("export", export.pk, 1)


def get_export(number: int) -> Export:
    try:
        return Export.objects.get(pk=number)
    except Export.DoesNotExist as exc:
        raise UnknownExport(
            f"There is no export {number}. To list them: {manage_command('exports')}"
        ) from exc


def cancel_export(export: Export) -> None:
    """One that waits is cancelled now, one at work within a second or two."""
    at_work = Export.objects.filter(pk=export.pk, state=ExportState.RUNNING)
    waiting = Export.objects.filter(pk=export.pk, state=ExportState.QUEUED)
    moved = waiting.update(state=ExportState.CANCELLED, finished_at=Now())
    moved += at_work.update(state=ExportState.CANCELLING)
    export.refresh_from_db()
    if not moved:
        raise ExportUnavailable(f"Export {export.pk} is {export.state}: it cannot be cancelled.")


def requeue_lost() -> None:
    """Call a worker again to what was lost, and complete what nobody completed. Raises RedisError, Error."""
    lost = Export.objects.filter(HEARTBEAT_EXPIRED)
    lost.filter(state=ExportState.CANCELLING).update(state=ExportState.CANCELLED, finished_at=Now())
    lost.filter(state=ExportState.RUNNING, attempts__gte=MAX_ATTEMPTS).update(
        state=ExportState.FAILED,
        error=f"The worker was lost {MAX_ATTEMPTS} times. Its log may say why.",
        finished_at=Now(),
    )
    for export in lost.filter(state__in=(ExportState.QUEUED, ExportState.RUNNING)):
        enqueue_export(export)


def get_export_folder(export: Export) -> Path:
    """Where its files are. Raises NotToBeHad where they are not, or not yet."""
    if export.state != ExportState.SUCCEEDED:
        raise ExportUnavailable(f"Export {export.pk} is {export.state}: there is nothing to fetch.")
    found = Path(export.path)
    if not os.path.isdir(found):  # also where this user may not look
        raise ExportUnavailable(
            f"Export {export.pk} was written to {found}, which this machine does not have."
        )
    return found


def list_files(export: Export) -> dict[str, int]:
    """The bytes of each of its files, which its summary names, and none that is a link. Raises NotToBeHad."""
    place, known = get_export_folder(export), {SUMMARY_FILENAME, *(export.summary or {}).get("files", ())}
    try:
        with os.scandir(place) as found:
            plain = [entry for entry in found if entry.name in known and entry.is_file(follow_symlinks=False)]
            return {entry.name: entry.stat().st_size for entry in sorted(plain, key=attrgetter("name"))}
    except OSError as exc:
        raise ExportUnavailable(f"Export {export.pk} cannot be read in {place}: {exc.strerror}.") from exc


def open_file(export: Export, name: str) -> BinaryIO:
    """One of its files, to be sent to somebody. Raises NotToBeHad for any other name."""
    if name not in list_files(export):
        raise ExportUnavailable(f"Export {export.pk} has no file {name!r}.")
    try:
        return open(get_export_folder(export) / name, "rb", opener=_open_no_follow)
    except OSError as exc:
        raise ExportUnavailable(f"{name} of export {export.pk} cannot be read: {exc.strerror}.") from exc


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)
