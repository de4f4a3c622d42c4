"""Stage the rows of an uploaded file as a change set, in one transaction: all of them, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import Model
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from ops.bulk_load import translate_data_errors
from ops.change_sets.followers import find_followers
from ops.db import canonical_output, without_timeouts
from ops.exceptions import Interrupted, OpsError
from ops.models import ChangeSet, Upload, UploadState
from ops.operations import registry
from ops.operations.validation import model_label
from ops.sql.compile import get_model_fields
from ops.sql.staged_diff import DiffCounts, stage_diff
from ops.sql.types import read_column_types
from ops.sql.upsert import Upsert
from ops.uploads.files import remove_file, require_file

SOURCE = "upload"
# Called with the number of rows read so far; what it raises ends the reading.
RowCallback = Callable[[int], None]


@dataclass(frozen=True)
class ReadFile:
    """The rows of a file in a staging table, and remarks on them for the person who uploaded it."""

    upsert: Upsert
    remarks: list[str]


# Reads the file (its path, its name, a callback) and checks its rows, or the first so many of them. Raises
# InvalidContent.
Reader = Callable[[Path, str, RowCallback, int | None], AbstractContextManager[ReadFile]]
# How many rows of a large file are shown while the others are read.
_HEAD_ROWS = 500


class StagedElsewhere(Exception):
    """Another process stages the file now, or it was staged, refused or discarded."""


def stage_upload(upload: Upload, on_row: RowCallback) -> None:
    """Stage the file; raises StagedElsewhere, and whatever ``on_row`` raises.

    A file that is not valid is refused with all its errors, which the upload keeps. Killed at any instant, it
    leaves nothing in the database but the waiting upload.
    """
    try:
        path = require_file(upload.path)
        with without_timeouts(), canonical_output():
            _lock(upload)
            with translate_data_errors(), _get_reader()(path, upload.name, on_row, None) as read:
                _keep(upload, read)
    except Interrupted:
        raise
    except OpsError as exc:
        refuse_upload(upload, str(exc))
    remove_file(upload.path)


def stage_head(upload: Upload) -> None:
    """Stage the first rows of the file, for its page to show while the others are read.

    Where they cannot be staged by themselves, the page shows none: ``stage_upload`` tells what is wrong.
    """
    with suppress(OpsError), without_timeouts(), canonical_output():
        _lock(upload)
        path = require_file(upload.path)
        with translate_data_errors(), _get_reader()(path, upload.name, _ignore, _HEAD_ROWS) as read:
            change_set = _create_change_set(upload, read.upsert)
            counts = stage_diff(read.upsert, change_set)
            _describe(change_set, read.upsert, counts)
        Upload.objects.filter(pk=upload.pk, state=UploadState.WAITING).update(
            change_set=change_set, first=counts.first, last=counts.last, changed_columns=counts.columns
        )


def refuse_upload(upload: Upload, error: str) -> None:
    """End the upload with its error, unless it has ended."""
    end_upload(upload, UploadState.REFUSED, error=error)
    remove_file(upload.path)


def require_upload_permission(model: type[Model], user: Any) -> None:
    """Raise PermissionDenied unless the user may add and change rows of the model."""
    if not may_upload(model, user):
        raise PermissionDenied(f"You may not add and change {model._meta.verbose_name_plural}.")


def may_upload(model: type[Model], user: Any) -> bool:
    """Whether the user may add and change rows of the model."""
    opts = model._meta
    needed = [f"{opts.app_label}.{get_permission_codename(action, opts)}" for action in ("add", "change")]
    return bool(user.has_perms(needed))


def _get_reader() -> Reader:
    return cast("Reader", import_string(settings.UPLOAD_READER))


def _lock(upload: Upload) -> None:
    """Lock the upload until the end of the transaction, without blocking what tells its progress."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"stage upload {upload.pk}"]
        )
        [is_locked] = cursor.fetchone()
    if not (is_locked and Upload.objects.filter(pk=upload.pk, state=UploadState.WAITING).exists()):
        raise StagedElsewhere


def _keep(upload: Upload, read: ReadFile) -> None:
    change_set = _create_change_set(upload, read.upsert)
    counts = stage_diff(read.upsert, change_set)
    is_empty = not (counts.created or counts.changed)
    _describe(change_set, read.upsert, counts)
    if is_empty:
        change_set.delete()
    moved = end_upload(
        upload,
        UploadState.STAGED,
        rows=read.upsert.staging.row_count,
        created=counts.created,
        changed=counts.changed,
        changed_columns=counts.columns,
        first=counts.first,
        last=counts.last,
        change_set=None if is_empty else change_set,
        remarks=read.remarks,
    )
    if not moved:
        raise StagedElsewhere


def _create_change_set(upload: Upload, upsert: Upsert) -> ChangeSet:
    change_set: ChangeSet = ChangeSet.objects.create(
        model=model_label(upsert.staging.model),
        columns=[],
        title=upload.name[:200],
        source=SOURCE,
        created_by=upload.performed_by,
    )
    return change_set


def _describe(change_set: ChangeSet, upsert: Upsert, counts: DiffCounts) -> None:
    """Name the columns: those with cells that differ, which a run of it claims, or else the key."""
    model = upsert.staging.model
    names = {str(field.column): field.name for field in upsert.given_audited_fields}
    columns = [names[column] for column in counts.columns]
    columns += _list_columns_of_followups(model, columns) if counts.created else []
    columns = columns or [upsert.key.name]
    followers = find_followers(model, columns)
    fields = get_model_fields(model, _unique([*columns, *followers]))
    change_set.columns, change_set.followers = columns, followers
    change_set.types = read_column_types(model, fields)
    change_set.save(update_fields=["columns", "followers", "types"])


def _list_columns_of_followups(model: type[Model], columns: Collection[str]) -> list[str]:
    """Return a column for each operation that is to follow the run, since it is for new rows too."""
    followups = [
        each for each in registry.iter_operations_with_example() if each.model is model and each.depends_on
    ]
    return [each.depends_on[0] for each in followups if not {*each.depends_on} & {*columns}]


def _unique(names: Collection[str]) -> list[str]:
    return list(dict.fromkeys(names))


def end_upload(upload: Upload, state: UploadState, **changes: Any) -> bool:
    """Move a waiting upload to its last state, without its first rows; return whether it waited."""
    waiting = Upload.objects.filter(pk=upload.pk, state=UploadState.WAITING)
    with transaction.atomic():
        heads = list(waiting.select_for_update().values_list("change_set", flat=True))
        values = {"change_set": None, "path": "", **changes}
        moved = waiting.update(state=state, finished_at=Now(), **values)
        # Only then, since the upload goes with its change set.
        ChangeSet.objects.filter(pk__in=[head for head in heads if head]).delete()
    return bool(moved)


def _ignore(rows: int) -> None:
    pass
