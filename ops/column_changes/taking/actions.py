"""Decide what taking the next step means at the moment, or taking the last one back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from django.db import DataError, connection

from ops.column_changes.backfill import missing_rows, rows_without_new_value
from ops.column_changes.gates import GateClosed
from ops.column_changes.obstructions import refuse_restored_column
from ops.column_changes.steps import Step
from ops.column_changes.taking.runs import find_backfill, find_revert, find_writer, is_reverted
from ops.column_changes.taking.status import ChangeStatus
from ops.column_changes.taking.step_migrations import StepMigration, list_to_take_back, target_before
from ops.command_lines import manage_command
from ops.db import read_only_snapshot
from ops.exceptions import OpsError
from ops.formatting import pluralize
from ops.migrate.unfinished import list_unfinished
from ops.models import Run
from ops.runs.next_steps import RunAction, format_run_command, get_next_step
from ops.runs.status import read_run_status
from ops.states import HELD, State

_SAMPLE_SIZE = 5


class StepRefused(OpsError):
    """A step cannot be taken or taken back, and waiting does not help."""


@dataclass(frozen=True)
class Action:
    """Something that takes ``step``, or with ``is_back`` takes it back. ``kind`` is its name in JSON."""

    kind: ClassVar[str]
    status: ChangeStatus
    step: Step
    is_back: bool = field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        return self.status.name


@dataclass(frozen=True)
class Migrate(Action):
    """Apply the migration, or take it back. It records the step itself."""

    kind = "migrate"
    migration: StepMigration

    @property
    def target(self) -> str:
        """What to type after ``migrate APP``."""
        return target_before(self.migration) if self.is_back else self.migration.name


@dataclass(frozen=True)
class WriteMigration(Action):
    """Write the migration of the step, which is applied later."""

    kind = "write_migration"


@dataclass(frozen=True)
class StartRun(Action):
    """Execute the backfill, or a revert of the run ``reverts``."""

    kind = "start_run"
    reverts: Run | None = None


@dataclass(frozen=True)
class ResumeRun(Action):
    """Continue a run that was begun for the step."""

    kind = "resume_run"
    run: Run


@dataclass(frozen=True)
class Verify(Action):
    """Execute the checks over the whole table."""

    kind = "verify"


@dataclass(frozen=True)
class Record(Action):
    """Write the log and nothing else; with ``run``, that run has done the step."""

    kind = "record"
    run: Run | None = None


def next_action(status: ChangeStatus) -> Action:
    """Return what takes the next step. Raises GateClosed, or StepRefused."""
    step = status.next
    if status.to_write == Step.EXPAND:
        raise StepRefused(
            f"The migrations of {status.name} are not written yet.",
            f"To write them: {_command(status, 'plan')}",
        )
    if status.to_write:
        return WriteMigration(status, status.to_write)
    if step is None:
        raise StepRefused(f"{status.name} has taken all of its steps.", _show(status))
    if status.missing:
        raise GateClosed(
            f"{status.name}: the step {step} has to wait. {' '.join(status.missing)}", _show(status)
        )
    if migration := status.migrations.get(step):
        _require_unapplied(status, migration, step)
        return Migrate(status, step, migration)
    _require_both_fields(status, step)
    if step == Step.BACKFILL:
        return _next_backfill(status)
    if step not in (Step.VERIFY, Step.CONSTRAIN, Step.SWITCH):
        raise StepRefused(f"The migration of the step {step} is not in this code.", _show(status))
    if step == Step.SWITCH and Step.VERIFY not in status.taken:
        _require_filled(status)
    return Verify(status, step) if step == Step.VERIFY else Record(status, step)


def _require_unapplied(status: ChangeStatus, migration: StepMigration, step: Step) -> None:
    if migration.is_applied and _is_unfinished(migration, is_back=True):
        raise StepRefused(
            f"The step {step} was taken back in part.",
            f"To take back the rest: {_command(status, 'back')} --execute",
        )
    if migration.is_applied:
        raise StepRefused(
            f"The migration {migration} is applied, but has not recorded the step {step}: was it faked?",
            f"Then: {manage_command('migrate', migration.app, target_before(migration), '--fake')},"
            f" and again: {_command(status, 'next')}",
        )


def _require_both_fields(status: ChangeStatus, step: Step) -> None:
    """Raise StepRefused where this code cannot fill or compare the columns."""
    missing = [name for name in status.change.fields() if name not in status.change.field_names()]
    if missing and step in (Step.BACKFILL, Step.VERIFY):
        raise StepRefused(
            f"{status.change.model._meta.label} has no field {missing[0]} in this code any more, so the step"
            f" {step} cannot be taken with it.",
            "Check out the code of the first deploy, which has both fields, and take the steps before retire"
            f" with it: {_command(status, 'next')}",
        )


def _require_filled(status: ChangeStatus) -> None:
    """Raise StepRefused for rows that were loaded as they were, after the table was constrained empty."""
    if missing_rows(status.replacement).exists():
        raise StepRefused(
            f"{status.name} was never verified in this database, and rows lack {status.replacement.new}.",
            "Fill them first: " + manage_command("operate", status.replacement.operation_name(), "--execute"),
        )


def _require_new_values(status: ChangeStatus) -> None:
    """Raise StepRefused for rows that the backfill would write NULL to, again and again."""
    change = status.replacement
    rows = rows_without_new_value(change)
    with suppress(DataError), read_only_snapshot():  # rows whose value cannot be computed fail in the run
        if count := rows.count():
            sample = rows.order_by("pk").values_list(change.display_field, flat=True)[:_SAMPLE_SIZE]
            raise StepRefused(
                f"get_new_value() of {status.name} gives NULL for"
                f" {pluralize(count, str(change.model._meta.verbose_name))}, such as"
                f" {', '.join(map(str, sample))}: {change.new} would stay empty there.",
                f"Give them another {change.old}: {_command(status, 'next')}. Or take expand back, correct"
                f" get_new_value(), and plan again: {_command(status, 'back')}",
            )


def _is_unfinished(migration: StepMigration, *, is_back: bool) -> bool:
    """Whether the migration was begun in that direction, and ended half-way."""
    return (migration.app, migration.name, is_back) in list_unfinished(connection)


def _next_backfill(status: ChangeStatus) -> Action:
    expanded = status.taken.get(Step.EXPAND)
    run = find_backfill(status.replacement, expanded.created_at) if expanded else None
    if run is None:
        if not status.replacement.mapping:  # of a mapping, the checks tell what it leaves out
            _require_new_values(status)
        return StartRun(status, Step.BACKFILL)
    if run.state == State.SUCCEEDED:
        return Record(status, Step.BACKFILL, run)
    _require_ours(run)
    return ResumeRun(status, Step.BACKFILL, run)


def back_action(status: ChangeStatus) -> Action:
    """Return what takes the last step back, or what is left of it. Raises StepRefused."""
    for begun, each in status.migrations.items():
        if each.is_applied and _is_unfinished(each, is_back=True):
            _require_last(each)
            return Migrate(status, begun, each, is_back=True)
        if not each.is_applied and _is_unfinished(each, is_back=False):
            raise StepRefused(
                f"The step {begun} was begun, and is not complete: a part of {each} is in the database.",
                f"Complete it first: {_command(status, 'next')} --execute",
            )
    step = status.current
    if step is None:
        raise StepRefused(f"{status.name} has not taken a step yet.", _show(status))
    if step == Step.DROP:
        refuse_restored_column(f"The old column of {status.name}")
    if step == Step.BACKFILL:
        return _back_backfill(status)
    if step == Step.EXPAND and (run := find_writer(status.change)):
        raise StepRefused(
            f"Run {run.pk} ({run.operation}, {run.get_state_display()}) writes the column that would go.",
            f"Cancel it first: {format_run_command(run.pk, RunAction.CANCEL)}",
        )
    migration = status.migrations.get(step)
    if migration is None:
        if step in (Step.EXPAND, Step.RETIRE):
            raise StepRefused(f"The migration that took the step {step} is not in this code.")
        return Record(status, step, is_back=True)
    if not migration.is_applied:
        raise StepRefused(
            f"The step {step} was taken, but its migration {migration} is not recorded as applied:"
            " was it faked?",
            f"Then: {manage_command('migrate', migration.app, migration.name, '--fake')},"
            f" and again: {_command(status, 'back')}",
        )
    _require_last(migration)
    return Migrate(status, step, migration, is_back=True)


def _back_backfill(status: ChangeStatus) -> Action:
    event = status.taken.get(Step.BACKFILL)
    run = event.run if event else None
    if status.replacement.is_key():  # the triggers would fill a copy of the key again
        return Record(status, Step.BACKFILL, is_back=True)
    if run is None or is_reverted(run):
        return Record(status, Step.BACKFILL, run and find_revert(run), is_back=True)
    revert = find_revert(run)
    if revert and revert.state != State.SUCCEEDED:
        _require_ours(revert)
        return ResumeRun(status, Step.BACKFILL, revert, is_back=True)
    return StartRun(status, Step.BACKFILL, run, is_back=True)


def _require_last(migration: StepMigration) -> None:
    """Raise StepRefused if other migrations would be taken back with it."""
    others = [f"{each.app_label}.{each.name}" for each in list_to_take_back(migration)]
    if others := [each for each in others if each != str(migration)]:
        raise StepRefused(
            f"{', '.join(others)} was applied after {migration}, and would be taken back with it.",
            f"To take back all of it: {manage_command('migrate', migration.app, target_before(migration))}",
        )


def _require_ours(run: Run) -> None:
    """Raise StepRefused for a run that waits for somebody's approval, or that workers execute."""
    if run.state == State.AWAITING_APPROVAL:
        raise StepRefused(
            f"Run {run.pk} awaits approval.", f"To see it: {format_run_command(run.pk, RunAction.SHOW)}"
        )
    status = read_run_status(run)
    is_taken_up = status.status in (State.RUNNING, HELD)
    is_waiting_for_one = status.status == State.QUEUED and not status.has_no_worker
    if status.uses_workers and (is_taken_up or is_waiting_for_one):
        raise StepRefused(
            f"Run {run.pk} ({run.operation}) is on the workers: let it end, and take the step then.",
            f"{get_next_step(status)}",
        )


def _command(status: ChangeStatus, verb: str) -> str:
    return manage_command("column_change", status.name, verb)


def _show(status: ChangeStatus) -> str:
    return f"To see where it stands: {manage_command('column_change', status.name)}"
