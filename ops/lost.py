"""A run that a failover or a restore took away, while somebody worked on it or looked at it."""

from __future__ import annotations

from typing import Any

from ops.exceptions import RunLost
from ops.models import Run
from ops.typed import manage


def lost(run: Run) -> RunLost:
    return RunLost(
        f"Run {run.pk} is no longer in the database: a server that took over, or a restored backup,"
        f" does not know it. To see the runs: {manage('runs')}"
    )


def refresh(run: Run, **how: Any) -> None:
    """Read the run again. Raises RunLost."""
    try:
        run.refresh_from_db(**how)
    except Run.DoesNotExist as exc:
        raise lost(run) from exc
