"""The column change that a run belongs to, as text."""

from __future__ import annotations

from ops.column_changes import position
from ops.column_changes.declaration import ColumnChange
from ops.column_changes.registry import list_changes
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.models import Run
from ops.operations.revert import Revert
from ops.states import State


def describe_change(run: Run) -> str:
    """``column change rarity_v2: backfill (step 2 of 7); next: verify (COMMAND)``; "" if it has none."""
    change = _find_change(run)
    if change is None:
        return ""
    steps = change.list_steps()
    number = f"step {steps.index(Step.BACKFILL) + 1} of {len(steps)}"
    if run.operation == Revert.name:
        return f"column change {change.name}: back from backfill ({number})"
    return f"column change {change.name}: backfill ({number}); {_describe_next(change, run)}"


def format_change_hint(run: Run) -> list[str]:
    """Return the line that says how to go on with the change after its backfill."""
    change = _find_change(run)
    if change is None or run.state != State.SUCCEEDED or run.operation == Revert.name:
        return []
    return [f"To go on with the column change: {manage_command('column_change', change.name, 'next')}"]


def _describe_next(change: type[ColumnChange], run: Run) -> str:
    current = position.current_step(change.name)
    if current is None or current.position < Step.BACKFILL.position:
        purpose = "to record the step" if run.state == State.SUCCEEDED else "to go on"
        return f"{purpose}: {manage_command('column_change', change.name, 'next')}"
    following = next((step for step in change.list_steps() if step.position > current.position), None)
    if following is None:
        return "all steps are taken"
    return f"next: {following} ({manage_command('column_change', change.name, 'next')})"


def _find_change(run: Run) -> type[ColumnChange] | None:
    """Return the declared change whose backfill the run is, or reverts."""
    operation = run.operation
    if operation == Revert.name:
        reverted = Run.objects.filter(pk=run.params.get("run")).first()
        operation = reverted.operation if reverted else ""
    changes = (change for change in list_changes() if issubclass(change, ColumnChange))
    return next((change for change in changes if change.operation_name() == operation), None)
