"""Uploads as people ask for them: small files are staged at once, others by a worker."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Model, Q

from ops.clock import is_recent
from ops.models import Upload, UploadState
from ops.operations.validation import model_label
from ops.queue import liveness
from ops.queue.enqueue import enqueue_missing_jobs
from ops.uploads.files import remove_file, store_file
from ops.uploads.staging import StagedElsewhere, end_upload, stage_upload

# A file with fewer rows is staged while its person waits.
MAX_ROWS_AT_ONCE = 10_000
# No such file is so large: it is not even tried.
_MAX_BYTES_AT_ONCE = 20_000_000
_NAME_LENGTH = 255


class _TooManyRows(Exception):
    pass


def request_upload(
    model: type[Model], name: str, size: int, chunks: Iterable[bytes], performed_by: str
) -> Upload:
    """Keep the file, and stage it: at once if it has few rows. Raises UploadUnavailable."""
    path = store_file(name, chunks)
    upload: Upload = Upload.objects.create(
        model=model_label(model),
        name=name[-_NAME_LENGTH:],
        path=str(path),
        bytes=size,
        performed_by=performed_by,
    )
    if not (size <= _MAX_BYTES_AT_ONCE and _stage_at_once(upload)):
        enqueue_missing_jobs("upload", upload.pk, 1)
    upload.refresh_from_db()
    return upload


def discard_upload(upload: Upload) -> bool:
    """End an upload that waits; return whether it did."""
    moved = end_upload(upload, UploadState.DISCARDED)
    if moved:
        remove_file(upload.path)
    return moved


def requeue_lost() -> None:
    """Enqueue again the uploads whose worker or job was lost. Raises RedisError, Error."""
    is_lost = ~Q(is_recent("heartbeat_at", liveness.heartbeat_timeout()))
    for number in Upload.objects.filter(is_lost, state=UploadState.WAITING).values_list("pk", flat=True):
        enqueue_missing_jobs("upload", number, 1)


def _stage_at_once(upload: Upload) -> bool:
    """Stage the file if it has few rows; return whether it has."""
    try:
        stage_upload(upload, _raise_if_many)
    except _TooManyRows:
        return False
    except StagedElsewhere:
        pass
    return True


def _raise_if_many(rows: int) -> None:
    if rows >= MAX_ROWS_AT_ONCE:
        raise _TooManyRows
