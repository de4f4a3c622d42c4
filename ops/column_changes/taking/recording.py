"""Record that a step was taken or taken back, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction

from ops.column_changes import position
from ops.column_changes.steps import Step
from ops.column_changes.taking.actions import Action
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.models import ColumnChangeEvent
from ops.session import is_pooled
from ops.sql.query import fetch_all

_LOCK_KEY = "hashtext('ops_column_change'), hashtext(%s)"
_RECORD_LOCK_SQL = "SELECT 1 FROM pg_advisory_xact_lock(hashtext('ops_column_change_event'), hashtext(%s))"
_LOCK_HOLDER_SQL = """
SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND (classid::bigint, objid::bigint) = (hashtext('ops_column_change') & x'ffffffff'::bigint,
        hashtext(%s) & x'ffffffff'::bigint)
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


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
    session = connections[DEFAULT_DB_ALIAS].copy(f"{DEFAULT_DB_ALIAS}: column change")
    name = f"column_change by {performed_by}"
    try:
        for setting, value in {"idle_session_timeout": "0", "application_name": name}.items():
            fetch_all("SELECT set_config(%s, %s, false)", setting, value, using=session)
        if not fetch_all(f"SELECT pg_try_advisory_lock({_LOCK_KEY})", change, using=session)[0][0]:
            raise StepInProgress(_describe_holder(fetch_all(_LOCK_HOLDER_SQL, change, using=session), change))
        yield
    finally:
        with suppress(Error):
            session.close()


def _describe_holder(holders: list[tuple[Any, ...]], change: str) -> str:
    holder = "; ".join(f"{name}, process {pid} of the database" for pid, name in holders)
    return (
        f"Another command is taking a step of {change} now ({holder or 'it has just ended'})."
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
