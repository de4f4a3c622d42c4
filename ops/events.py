"""Log the events of runs to the logger `ops.events`: one record an event, after the commit."""

from __future__ import annotations

import logging
import os
import socket
from functools import partial
from typing import Any

from django.db import connection, transaction

from ops.models import Run

log = logging.getLogger("ops.events")


def log_event(run: Run, event: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log an event of the run when the transaction commits, and only then.

    ``facts`` are logged in their order, without those that are None or empty.
    """
    facts = {name: fact for name, fact in facts.items() if fact not in (None, "", {}, [])}
    message = " ".join([f"run {run.pk} {event}", *(f"{name}={fact!r}" for name, fact in facts.items())])
    emit = partial(log.log, level, "%s", message, extra={"run": run.pk, "event": event, "facts": facts})
    if connection.in_atomic_block:
        transaction.on_commit(emit)
    else:  # on_commit needs a connection, and the event may be that there is none
        emit()


def process_name() -> str:
    """Return ``host:pid``, the name of this process in the log."""
    return f"{socket.gethostname()}:{os.getpid()}"
