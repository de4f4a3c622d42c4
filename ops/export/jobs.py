"""The job that writes an export on a worker: claim it, write it, record the result.

Meanwhile a thread records heartbeats and progress, and sees whether the job is to stop.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import Error, connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from ops.exceptions import Interrupted, OpsError
from ops.export.folder import TargetLocked
from ops.export.lifecycle import transition
from ops.export.progress import TransferProgress
from ops.export.queue import enqueue_export, heartbeat_expired
from ops.export.request import ExportRequest
from ops.export.summary import Summary
from ops.export.write import write_export
from ops.interrupts import stop_requested
from ops.models import Export, ExportState
from ops.retries import is_unavailable

log = logging.getLogger(__name__)

_HEARTBEAT_INTERVAL = 1.0


def perform(number: int) -> None:
    """Write the export, unless another job owns it. Two jobs for one export do no harm."""
    owner = uuid4()
    if not _claim(number, owner):
        return
    export, owned = Export.objects.get(pk=number), Export.objects.filter(pk=number, owner=owner)
    progress, stop = TransferProgress(), Event()
    try:
        with _heartbeat_thread(export, owned, progress, stop):
            summary = _write_to_target(export, progress, stop)
        _finish(owned, ExportState.SUCCEEDED, progress, summary=summary.as_json())
    except Interrupted:
        if _cancel_or_requeue(owned, progress):
            enqueue_export(export)
    except TargetLocked:  # The reaper enqueues it later: now it would only find the target locked again.
        _cancel_or_requeue(owned, progress)
    except OpsError as exc:
        _finish(owned, ExportState.FAILED, progress, error=str(exc))
    except Exception as exc:
        if isinstance(exc, Error) and is_unavailable(exc):
            log.warning("%s: the database is unavailable: %s", export, exc)
            return  # Its heartbeat expires, and the reaper enqueues it once the database is back.
        _finish(owned, ExportState.FAILED, progress, error=str(exc))
        raise


def _write_to_target(export: Export, progress: TransferProgress, stop: Event) -> Summary:
    request, target = ExportRequest.from_json(export.asked), Path(export.path)
    root = Path(settings.EXPORT_ROOT).absolute()
    if target.parent == root:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A lost worker may have renamed the folder already.
    request = replace(request, overwrite=request.overwrite or export.attempts > 1)
    return write_export(request, target, progress, stop)


def _claim(number: int, owner: UUID) -> bool:
    """Take up an export that is queued, or whose worker was lost; return whether it is ours now."""
    is_free = Q(state=ExportState.QUEUED) | heartbeat_expired()
    claimed = transition(
        Export.objects.filter(is_free, pk=number),
        ExportState.RUNNING,
        owner=owner,
        attempts=F("attempts") + 1,
        heartbeat_at=Now(),
        rows=0,
        bytes=0,
    )
    return bool(claimed)


def _cancel_or_requeue(owned: QuerySet[Export], progress: TransferProgress) -> bool:
    """Cancel the export if that was requested; else requeue it for another worker, and return True."""
    if _finish(owned.filter(state=ExportState.CANCELLING), ExportState.CANCELLED, progress):
        return False
    changes = {"owner": None, "heartbeat_at": None, "attempts": F("attempts") - 1}
    return bool(transition(owned, ExportState.QUEUED, **changes))


def _finish(owned: QuerySet[Export], to: ExportState, progress: TransferProgress, **changes: Any) -> bool:
    return bool(transition(owned, to, **_progress_fields(progress), **changes))


def _progress_fields(progress: TransferProgress) -> dict[str, int]:
    return {"rows": progress.rows, "bytes": progress.bytes, "total": progress.total}


@contextmanager
def _heartbeat_thread(
    export: Export, owned: QuerySet[Export], progress: TransferProgress, stop: Event
) -> Iterator[None]:
    """Record heartbeats in a thread, over its own connection: the main one is busy with COPY."""
    done = Event()
    args = (export, owned, progress, stop, done)
    thread = Thread(target=_send_heartbeats, args=args, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _send_heartbeats(
    export: Export, owned: QuerySet[Export], progress: TransferProgress, stop: Event, done: Event
) -> None:
    """Record heartbeats and progress until ``done``; set ``stop`` once the job is to stop."""
    running = owned.filter(state=ExportState.RUNNING)
    try:
        while not done.wait(_HEARTBEAT_INTERVAL):
            is_running = running.update(heartbeat_at=Now(), **_progress_fields(progress))
            if stop_requested.is_set() or not is_running:
                stop.set()
                return
    except Error as exc:
        log.warning("%s: %s", export, exc)
        stop.set()
    finally:
        connection.close()
