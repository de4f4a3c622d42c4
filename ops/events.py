"""What happens to runs, told to the logger `ops.events`: one record an event, once it is committed."""

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
    """Log what happened to the run: after the transaction under way, and only if that commits.

    ``facts`` are read in their order; those that are None or empty say nothing and are left out.
    """
    told = {name: fact for name, fact in facts.items() if fact not in (None, "", {}, [])}
    message = " ".join([f"run {run.pk} {event}", *(f"{name}={fact!r}" for name, fact in told.items())])
    emit = partial(log.log, level, "%s", message, extra={"run": run.pk, "event": event, "facts": told})
    if connection.in_atomic_block:
        transaction.on_commit(emit)
    else:  # on_commit would ask for a connection, and this may be told because there is none
        emit()


def process_name() -> str:
    """This process, as the log names it."""
    return f"{socket.gethostname()}:{os.getpid()}"
