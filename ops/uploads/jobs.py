"""The job that stages a large file on a worker. A thread records its progress meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from django.db import Error, connection
from django.db.models import F
from django.db.models.functions import Now

from ops.exceptions import Interrupted
from ops.interrupts import stop_requested
from ops.models import Upload, UploadState
from ops.retries import is_unavailable
from ops.uploads.staging import StagedElsewhere, refuse_upload, stage_head, stage_upload

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
_HEARTBEAT_INTERVAL = 1.0


class Progress:
    """The rows read so far, and whether the reading is to stop."""

    def __init__(self) -> None:
        self.rows, self.stop = 0, Event()

    def on_row(self, rows: int) -> None:
        """Raises Interrupted."""
        self.rows = rows
        if self.stop.is_set():
            raise Interrupted("Interrupted: nothing was staged.")


def perform(number: int) -> None:
    """Stage the upload, unless it has ended. Two jobs for one upload do no harm."""
    upload = Upload.objects.filter(pk=number, state=UploadState.WAITING).first()
    if upload is None:
        return
    if upload.attempts >= MAX_ATTEMPTS:
        refuse_upload(upload, f"The worker was lost {MAX_ATTEMPTS} times while it read the file.")
        return
    progress = Progress()
    try:
        with _heartbeat_thread(upload, progress):
            if upload.change_set_id is None:
                stage_head(upload)
            stage_upload(upload, progress.on_row)
    except StagedElsewhere:
        log.info("%s: staged by another job, or discarded", upload)
    except Interrupted:  # The worker was told to stop: its heartbeat expires, and the reaper enqueues it.
        Upload.objects.filter(pk=number).update(attempts=F("attempts") - 1)
    except Exception as exc:
        if isinstance(exc, Error) and is_unavailable(exc):
            log.warning("%s: the database is unavailable: %s", upload, exc)
            return  # Its heartbeat expires, and the reaper enqueues it once the database is back.
        refuse_upload(upload, f"The file could not be read: {exc}")
        raise


@contextmanager
def _heartbeat_thread(upload: Upload, progress: Progress) -> Iterator[None]:
    """Record heartbeats in a thread, over its own connection: the main one is in a transaction."""
    Upload.objects.filter(pk=upload.pk).update(attempts=F("attempts") + 1, heartbeat_at=Now())
    done = Event()
    thread = Thread(target=_send_heartbeats, args=(upload, progress, done), name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _send_heartbeats(upload: Upload, progress: Progress, done: Event) -> None:
    """Record the progress until ``done``; stop the reading where the upload was discarded, or the worker is
    told to stop."""
    waiting = Upload.objects.filter(pk=upload.pk, state=UploadState.WAITING)
    try:
        while not done.wait(_HEARTBEAT_INTERVAL):
            is_waiting = waiting.update(heartbeat_at=Now(), rows=progress.rows)
            if stop_requested.is_set() or not is_waiting:
                progress.stop.set()
                return
    except Error as exc:
        log.warning("%s: %s", upload, exc)
    finally:
        connection.close()
