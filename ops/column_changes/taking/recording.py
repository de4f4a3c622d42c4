"""Record that a step was taken or taken back, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction

from ops.column_changes import position
from ops.column_changes.steps import Step
from ops.column_changes.taking.actions import Action
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.models import ColumnChangeEvent
from ops.session import is_pooled
from ops.sql.query import fetch_all
from ops.sql.session_lock import SessionLock, session_lock

_RECORD_LOCK_SQL = "SELECT 1 FROM pg_advisory_xact_lock(hashtext('ops_column_change_event'), hashtext(%s))"


class StepInProgress(OpsError):
    """Another process takes a step of the change, or has just taken it."""


@contextmanager
def step_lock(change: str, performed_by: str) -> Iterator[None]:
    """Hold an advisory lock for the block. Raises StepInProgress, which names the process that has it.

    It is a session's own, as a step may be many transactions. Behind a pooler there is none; there, and
    where the server restarts meanwhile, ``record`` decides.
    """
    if is_pooled(DEFAULT_DB_ALIAS):
        yield
        return
    name = f"column_change by {performed_by}"
    with session_lock(DEFAULT_DB_ALIAS, "ops_column_change", change, application_name=name) as lock:
        if not lock.acquire():
            raise StepInProgress(_describe_holder(lock, change))
        yield


def _describe_holder(lock: SessionLock, change: str) -> str:
    holder = lock.find_holder()
    who = f"{holder[1]}, process {holder[0]} of the database" if holder else "it has just ended"
    return (
        f"Another command is taking a step of {change} now ({who})."
        f" To see where the change stands: {manage_command('column_change', change)}"
    )


def record(action: Action, performed_by: str, **values: Any) -> ColumnChangeEvent:
    """Record the step of the action. Raises StepInProgress if the change has moved meanwhile."""
    with transaction.atomic():
        fetch_all(_RECORD_LOCK_SQL, action.name)
        if position.current_step(action.name) != action.status.current:
            raise StepInProgress(
                f"Another command has moved {action.name} to another step meanwhile, so the step"
                f" {action.step} was not recorded.",
                f"To see where it stands: {manage_command('column_change', action.name)}",
            )
        return position.record_step(
            action.name, Step(action.step), performed_by, is_back=action.is_back, **values
        )
