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
from ops.export.folder import Taken
from ops.export.meter import Meter
from ops.export.queue import LOST, ring
from ops.export.summary import Summary
from ops.export.wanted import Wanted
from ops.export.write import write_export
from ops.models import Export, ExportState
from ops.patience import is_away
from ops.queue.slice import asked_to_stop

log = logging.getLogger(__name__)

_BEAT = 1.0


def perform(number: int) -> None:
    """Write the export, unless somebody else does. Harmless beside its own twin."""
    owner = uuid4()
    if not _claim(number, owner):
        return
    export = Export.objects.get(pk=number)
    meter, stop = Meter(), Event()
    try:
        with _beating(export.pk, owner, meter, stop):
            summary = _write(export, meter, stop)
        _end(export, owner, ExportState.SUCCEEDED, meter, summary=summary.as_json())
    except Interrupted:
        if _give_up(export, owner, meter):
            ring(export)
    except Taken:  # called again by the reaper: at once it would only find the other still at it
        _give_up(export, owner, meter)
    except OpsError as exc:
        _end(export, owner, ExportState.FAILED, meter, error=str(exc))
    except Exception as exc:
        if isinstance(exc, Error) and is_away(exc):
            log.warning("%s: the database is away: %s", export, exc)
            return  # it is lost, and is called again once the database is back
        _end(export, owner, ExportState.FAILED, meter, error=str(exc))
        raise


def _write(export: Export, meter: Meter, stop: Event) -> Summary:
    wanted, target = Wanted.of_json(export.asked), Path(export.path)
    root = Path(settings.EXPORT_ROOT).absolute()
    if target.parent == root:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whoever was lost may have come as far as to rename the folder.
    wanted = replace(wanted, overwrite=wanted.overwrite or export.attempts > 1)
    return write_export(wanted, target, meter, stop)


def _claim(number: int, owner: UUID) -> bool:
    free = Q(state=ExportState.QUEUED) | (Q(state=ExportState.RUNNING) & LOST)
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


def _give_up(export: Export, owner: UUID, meter: Meter) -> bool:
    """Cancelled if somebody asked for it; else, which is returned, it waits for a worker that starts over."""
    if _end(export, owner, ExportState.CANCELLED, meter, only=ExportState.CANCELLING):
        return False
    back = {"state": ExportState.QUEUED, "owner": None, "heartbeat_at": None, "attempts": F("attempts") - 1}
    mine = Export.objects.filter(pk=export.pk, owner=owner, state=ExportState.RUNNING)
    return bool(mine.update(**back))


def _end(
    export: Export,
    owner: UUID,
    state: ExportState,
    meter: Meter,
    only: ExportState | None = None,
    **told: object,
) -> bool:
    mine = Export.objects.filter(pk=export.pk, owner=owner)
    if only:
        mine = mine.filter(state=only)
    figures = {"rows": meter.rows, "bytes": meter.bytes, "total": meter.total}
    return bool(mine.update(state=state, finished_at=Now(), **figures, **told))


@contextmanager
def _beating(number: int, owner: UUID, meter: Meter, stop: Event) -> Iterator[None]:
    """A thread, since the connection of this one is busy with COPY."""
    done = Event()
    thread = Thread(target=_beat, args=(number, owner, meter, stop, done), name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _beat(number: int, owner: UUID, meter: Meter, stop: Event, done: Event) -> None:
    try:
        while not done.wait(_BEAT):
            mine = Export.objects.filter(pk=number, owner=owner)
            figures = {"rows": meter.rows, "bytes": meter.bytes, "total": meter.total}
            alive = mine.filter(state=ExportState.RUNNING).update(heartbeat_at=Now(), **figures)
            if asked_to_stop.is_set() or not alive:
                stop.set()
                return
    except Error as exc:
        log.warning("export %s: %s", number, exc)
        stop.set()
    finally:
        connection.close()
