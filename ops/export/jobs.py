"""The one job of an export: claim it, write it while a second connection beats and listens, say what came."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from uuid import UUID, uuid4

from django.conf import settings
from django.db import Error, connection
from django.db.models import F, Q
from django.db.models.functions import Now

from ops.exceptions import Interrupted, OpsError
from ops.export.folder import TargetLocked
from ops.export.progress import TransferProgress
from ops.export.queue import HEARTBEAT_EXPIRED, enqueue_export
from ops.export.request import ExportRequest
from ops.export.summary import Summary
from ops.export.write import write_export
from ops.interrupts import stop_requested
from ops.models import Export, ExportState
from ops.retries import is_unavailable

log = logging.getLogger(__name__)

_HEARTBEAT_INTERVAL = 1.0


def perform(number: int) -> None:
    """Write the export, unless somebody else does. Harmless beside its own twin."""
    owner = uuid4()
    if not _claim(number, owner):
        return
    export = Export.objects.get(pk=number)
    meter, stop = TransferProgress(), Event()
    try:
        with _heartbeat_thread(export.pk, owner, meter, stop):
            summary = _write_to_target(export, meter, stop)
        _finish(export, owner, ExportState.SUCCEEDED, meter, summary=summary.as_json())
    except Interrupted:
        if _cancel_or_requeue(export, owner, meter):
            enqueue_export(export)
    except TargetLocked:  # called again by the reaper: at once it would only find the other still at it
        _cancel_or_requeue(export, owner, meter)
    except OpsError as exc:
        _finish(export, owner, ExportState.FAILED, meter, error=str(exc))
    except Exception as exc:
        if isinstance(exc, Error) and is_unavailable(exc):
            log.warning("%s: the database is unavailable: %s", export, exc)
            return  # it is lost, and is called again once the database is back
        _finish(export, owner, ExportState.FAILED, meter, error=str(exc))
        raise


def _write_to_target(export: Export, meter: TransferProgress, stop: Event) -> Summary:
    wanted, target = ExportRequest.of_json(export.asked), Path(export.path)
    root = Path(settings.EXPORT_ROOT).absolute()
    if target.parent == root:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whoever was lost may have come as far as to rename the folder.
    wanted = replace(wanted, overwrite=wanted.overwrite or export.attempts > 1)
    return write_export(wanted, target, meter, stop)


def _claim(number: int, owner: UUID) -> bool:
    free = Q(state=ExportState.QUEUED) | (Q(state=ExportState.RUNNING) & HEARTBEAT_EXPIRED)
    return bool(
        Export.objects.filter(free, pk=number).update(
            state=ExportState.RUNNING,
            owner=owner,
            attempts=F("attempts") + 1,
            heartbeat_at=Now(),
            rows=0,
            bytes=0,
        )
    )


def _cancel_or_requeue(export: Export, owner: UUID, meter: TransferProgress) -> bool:
    """Cancelled if somebody asked for it; else, which is returned, it waits for a worker that starts over."""
    if _finish(export, owner, ExportState.CANCELLED, meter, only=ExportState.CANCELLING):
        return False
    back = {"state": ExportState.QUEUED, "owner": None, "heartbeat_at": None, "attempts": F("attempts") - 1}
    mine = Export.objects.filter(pk=export.pk, owner=owner, state=ExportState.RUNNING)
    return bool(mine.update(**back))


def _finish(
    export: Export,
    owner: UUID,
    state: ExportState,
    meter: TransferProgress,
    only: ExportState | None = None,
    **told: object,
) -> bool:
    mine = Export.objects.filter(pk=export.pk, owner=owner)
    if only:
        mine = mine.filter(state=only)
    figures = {"rows": meter.rows, "bytes": meter.bytes, "total": meter.total}
    return bool(mine.update(state=state, finished_at=Now(), **figures, **told))


@contextmanager
def _heartbeat_thread(number: int, owner: UUID, meter: TransferProgress, stop: Event) -> Iterator[None]:
    """A thread, since the connection of this one is busy with COPY."""
    done = Event()
    thread = Thread(
        target=_send_heartbeats, args=(number, owner, meter, stop, done), name="beat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _send_heartbeats(number: int, owner: UUID, meter: TransferProgress, stop: Event, done: Event) -> None:
    try:
        while not done.wait(_HEARTBEAT_INTERVAL):
            mine = Export.objects.filter(pk=number, owner=owner)
            figures = {"rows": meter.rows, "bytes": meter.bytes, "total": meter.total}
            alive = mine.filter(state=ExportState.RUNNING).update(heartbeat_at=Now(), **figures)
            if stop_requested.is_set() or not alive:
                stop.set()
                return
    except Error as exc:
        log.warning("export %s: %s", number, exc)
        stop.set()
    finally:
        connection.close()
