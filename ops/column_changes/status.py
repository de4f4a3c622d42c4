"""Where a change stands: its steps, what took each of them, and what is missing for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ops.column_changes import gates, position
from ops.column_changes.declaration import ColumnChange
from ops.column_changes.step_migrations import StepMigration, find_step_migrations
from ops.column_changes.steps import Step
from ops.models import ColumnChangeEvent


@dataclass(frozen=True)
class ChangeStatus:
    """``current`` is the last step that stands, and ``taken`` are the events of those that were recorded.

    A new database has no events of the steps that an empty table does not need. ``missing`` is what the next
    step waits for.
    """

    change: type[ColumnChange]
    current: Step | None
    next: Step | None
    taken: dict[Step, ColumnChangeEvent]
    migrations: dict[Step, StepMigration]
    missing: list[str]

    @property
    def name(self) -> str:
        return self.change.name

    def is_done(self, step: Step) -> bool:
        return self.next is None or step.position < self.next.position


def read_status(change: type[ColumnChange]) -> ChangeStatus:
    """Read the log, the migrations and the gates. Raises MigrationsNotLoaded."""
    taken = _standing_events(position.list_events(change.name))
    current = max(taken, key=lambda step: step.position, default=None)
    migrations = find_step_migrations(change.name)
    step = _find_next(change, current, migrations)
    return ChangeStatus(change, current, step, taken, migrations, find_missing(change, step) if step else [])


def list_steps(change: type[ColumnChange]) -> list[Step]:
    """Return the steps of the change: with ``swap`` the name stays, so that readers need not switch."""
    return [step for step in Step if not (change.swap and step == Step.SWITCH)]


def _find_next(
    change: type[ColumnChange], current: Step | None, migrations: dict[Step, StepMigration]
) -> Step | None:
    """Return the step after the current one, or an earlier one whose migration ended half-way."""
    for step in list_steps(change):
        migration = migrations.get(step)
        if current is None or step.position > current.position or (migration and not migration.is_applied):
            return step
    return None


def find_missing(change: type[ColumnChange], step: Step) -> list[str]:
    """Return what does not hold yet before the step: in the models, and what its gate asks for."""
    missing = gates.find_missing(change.name, step, get_wait(change, step))
    if step in (Step.RETIRE, Step.DROP) and _has_both_fields(change):
        rename = f" and rename {change.new} to {change.old}" if change.swap else ""
        return [
            f"The field {change.old} is still in the model {change.model._meta.label}:"
            f" remove it there{rename}, and deploy that.",
            *missing,
        ]
    return missing


def get_wait(change: type[ColumnChange], step: Step) -> timedelta:
    """Return how long the step has to wait by the declaration."""
    return {Step.RETIRE: change.retire_after, Step.DROP: change.drop_after}.get(step, timedelta())


def _has_both_fields(change: type[ColumnChange]) -> bool:
    return {change.old, change.new} <= {field.name for field in change.model._meta.get_fields()}


def _standing_events(events: list[ColumnChangeEvent]) -> dict[Step, ColumnChangeEvent]:
    """Return the last event of each step that stands. Taking one back takes back those after it."""
    taken: dict[Step, ColumnChangeEvent] = {}
    for event in events:
        step = Step(event.step)
        if event.is_back:
            taken = {each: kept for each, kept in taken.items() if each.position < step.position}
        else:
            taken[step] = event
    return taken
