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
    current = position.current_step(change.name)
    migrations = find_step_migrations(change.name)
    step = _find_next(change, current, migrations)
    return ChangeStatus(
        change,
        current,
        step,
        position.standing_events(change.name),
        migrations,
        find_missing(change, step) if step else [],
    )


def _find_next(
    change: type[ColumnChange], current: Step | None, migrations: dict[Step, StepMigration]
) -> Step | None:
    """Return the step after the current one, or an earlier one whose migration ended half-way."""
    if current is None:
        return Step.EXPAND
    for step, migration in migrations.items():
        if step.position <= current.position and not migration.is_applied:
            return step
    return Step.RETIRE if change.swap and current.next is Step.SWITCH else current.next


def find_missing(change: type[ColumnChange], step: Step) -> list[str]:
    """Return what does not hold yet before the step: in the models, and what its gate asks for."""
    if step in (Step.RETIRE, Step.DROP) and has_old_field(change):
        return [
            f"The field {change.old} is still in the model {change.model._meta.label}."
            " Remove it there, deploy, and come back."
        ]
    return gates.find_missing(change.name, step, get_wait(change, step), swap=change.swap)


def get_wait(change: type[ColumnChange], step: Step) -> timedelta:
    """Return how long the step has to wait by the declaration."""
    return {Step.RETIRE: change.retire_after, Step.DROP: change.drop_after}.get(step, timedelta())


def has_old_field(change: type[ColumnChange]) -> bool:
    """Whether the model still has both columns as fields, so that the old one is not retired in it."""
    names = {field.name for field in change.model._meta.get_fields()}
    return {change.old, change.new} <= names
