"""Where a change stands: its steps, what took each of them, and what is missing for the next one."""

from __future__ import annotations

from dataclasses import dataclass

from ops.column_changes import gates, position
from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.steps import Step
from ops.column_changes.taking.step_migrations import StepMigration, find_step_migrations
from ops.column_changes.usage.code import find_references
from ops.command_lines import manage_command
from ops.formatting import pluralize
from ops.models import ColumnChangeEvent


@dataclass(frozen=True)
class ChangeStatus:
    """``current`` is the last step that stands, and ``taken`` are the events of those that were recorded.

    A new database has no events of the steps that an empty table does not need. ``missing`` is what the next
    step waits for. ``to_write`` is the step whose migration can be written now: its gate is in the migration,
    so that it is written on any machine, and waits where it is applied.
    """

    change: type[BaseColumnChange]
    current: Step | None
    next: Step | None
    taken: dict[Step, ColumnChangeEvent]
    migrations: dict[Step, StepMigration]
    missing: list[str]
    to_write: Step | None

    @property
    def name(self) -> str:
        return self.change.name

    @property
    def replacement(self) -> type[ColumnChange]:
        """The change, of which a step fills, checks or switches to the new column."""
        assert issubclass(self.change, ColumnChange)  # noqa: S101 - a removal has no such step
        return self.change

    def is_done(self, step: Step) -> bool:
        return self.next is None or step.position < self.next.position


def read_status(change: type[BaseColumnChange]) -> ChangeStatus:
    """Read the log, the migrations and the gates. Raises MigrationsNotLoaded."""
    taken = position.standing_events(change.name)
    current = max(taken, key=lambda step: step.position, default=None)
    migrations = find_step_migrations(change.name)
    step = _find_next(change, current, migrations)
    missing = find_missing(change, step) if step else []
    to_write = _find_to_write(change, step, migrations)
    return ChangeStatus(change, current, step, taken, migrations, missing, to_write)


def _find_next(
    change: type[BaseColumnChange], current: Step | None, migrations: dict[Step, StepMigration]
) -> Step | None:
    """Return the step after the current one, or an earlier one whose migration ended half-way."""
    for step in change.list_steps():
        migration = migrations.get(step)
        if current is None or step.position > current.position or (migration and not migration.is_applied):
            return step
    return None


def _find_to_write(
    change: type[BaseColumnChange], step: Step | None, migrations: dict[Step, StepMigration]
) -> Step | None:
    """Return the step whose migration has to be written next, so that the migrations match the models."""
    if not migrations:
        return Step.EXPAND if step == Step.EXPAND else None
    if change.is_left() and Step.RETIRE not in migrations:
        return Step.RETIRE
    return Step.DROP if step == Step.DROP and Step.DROP not in migrations else None


def find_missing(change: type[BaseColumnChange], step: Step) -> list[str]:
    """Return what does not hold yet before the step: in the models, and what its gate asks for."""
    wait, after = change.get_wait(step), change.previous_step(step)
    missing = gates.find_missing(change.name, step, wait, swap=change.keeps_name(), after=after)
    if step == Step.RETIRE and not change.is_left():
        gone, kept = change.gone_and_kept()
        rename = f" and rename {gone} to {kept}" if change.keeps_name() else ""
        write = manage_command("column_change", change.name, "next")
        return [
            f"The field {change.old} is still in the model {change.model._meta.label}:"
            f" remove it there{rename}, write the migration ({write}), and deploy both.",
            *missing,
        ]
    if step == Step.RETIRE and (places := find_references(change)):
        check = manage_command("check", "--tag", "column_changes")
        return [
            f"The code still names {change.old} in {pluralize(len(places), 'place')} ({check}).",
            *missing,
        ]
    return missing
