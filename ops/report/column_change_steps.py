"""Plans and steps of column changes as text and as JSON: what would be done, and what was done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.backups.listing import latest_backup
from ops.column_changes.declaration import ColumnChange
from ops.column_changes.planning.plan import Plan
from ops.column_changes.steps import Step
from ops.column_changes.taking.actions import Action, Migrate, Record, ResumeRun, Verify, WriteMigration
from ops.column_changes.taking.status import ChangeStatus
from ops.command_lines import manage_command
from ops.report.backups import display_path
from ops.report.column_change import describe_step, next_lines
from ops.report.document import build_document


def format_planned(planned: Plan) -> list[str]:
    """Return the migrations that a plan would write, and what each does."""
    lines = []
    for migration in planned.migrations:
        lines += [f"{migration.app_label}.{migration.name}"]
        lines += [f"  {operation.describe()}" for operation in migration.operations]
    return [*(lines or [_nothing_to_plan(planned)]), *(f"  note  {note}" for note in planned.notes)]


def format_plan_written(planned: Plan, paths: list[Path]) -> list[str]:
    if not paths:
        return format_planned(planned)
    return [
        "Wrote the migrations:",
        *(f"  {display_path(path)}" for path in paths),
        *(f"  note  {note}" for note in planned.notes),
        "Read them, and commit them with the change.",
        f"To go on: {manage_command('column_change', planned.change.name, 'next')}",
    ]


def _nothing_to_plan(planned: Plan) -> str:
    names = ", ".join(sorted((planned.planned or {}).values()))
    return f"The migrations of {planned.change.name} are written already: {names}."


def format_written(action: WriteMigration, path: Path) -> list[str]:
    """Return the file that the action has written, and what to do with it."""
    with_model = action.step == Step.RETIRE
    return [
        f"Wrote the migration {display_path(path)}",
        "Read it, commit it with the change of the model, and deploy both."
        if with_model
        else "Read it, commit it, and deploy it.",
        f"Until the step {action.step} may be taken, migrate stops before it with exit status 3.",
        f"To see what it does: {manage_command('column_change', action.name, 'next')}",
    ]


def format_recorded(status: ChangeStatus, action: Action) -> list[str]:
    """Return what was done, and what comes next; ``status`` is the one after it."""
    verb = "was taken back" if action.is_back else "is done"
    return [f"{status.name}: the step {action.step} {verb}.", *next_lines(status)]


def format_action(action: Action) -> list[str]:
    """Return what the action does, without the statements of migrations and the preview of runs."""
    verb = "take back the step" if action.is_back else "the step"
    purpose = "" if action.is_back else f": {describe_step(action.status, action.step)}"
    return [
        f"{action.name}: {verb} {action.step}{purpose}.",
        *(f"  {line}" for line in _iter_effects(action)),
    ]


def _iter_effects(action: Action) -> Iterator[str]:
    change = action.status.change
    if isinstance(action, Migrate):
        yield f"{'takes back' if action.is_back else 'applies'} the migration {action.migration}"
    if isinstance(action, WriteMigration):
        yield f"writes its migration into the app {change.model._meta.app_label}, and applies nothing"
    if isinstance(action, ResumeRun):
        yield f"continues run {action.run.pk}, which is {action.run.get_state_display()}"
    if isinstance(action, Verify):
        yield "counts the rows in one snapshot, and changes nothing"
    if isinstance(action, Record):
        yield _record_effect(action)
    if action.step == Step.DROP and isinstance(action, Migrate):
        backup = latest_backup(verified=True)
        yield f"only a restore of a backup takes it back; the newest: {backup.path if backup else 'none'}"
    if action.step == Step.EXPAND and action.is_back and issubclass(change, ColumnChange):
        yield f"the column {change.new} is dropped, with all of its values"


def format_notes(notes: list[dict[str, Any]]) -> list[str]:
    """Return what verify only tells, as lines after its checks."""
    return [
        f"  note    {note['label']}: {note['found']:,}, such as {', '.join(note['sample'])}"
        for note in notes
        if note["found"]
    ]


def _record_effect(action: Record) -> str:
    change = action.status.replacement
    if action.run:
        return f"records that run {action.run.pk} has done it"
    if action.step == Step.SWITCH:
        return f"readers use {change.old if action.is_back else change.new} within a second"
    if action.is_back:
        return "nothing is undone; the step counts as not taken"
    return f"records the step: {change.new} has no constraints or indexes to add"


def action_document(event: str, action: Action, **facts: Any) -> dict[str, Any]:
    return build_document(
        event,
        name=action.name,
        step=action.step,
        is_back=action.is_back,
        kind=action.kind,
        migration=str(action.migration) if isinstance(action, Migrate) else None,
        run=action.run.pk if isinstance(action, Record | ResumeRun) and action.run else None,
        **facts,
    )


def step_document(status: ChangeStatus, action: Action) -> dict[str, Any]:
    """Return what was done; ``status`` is the one after it."""
    event = status.taken.get(action.step)
    return action_document(
        "column_change_step", action, current=status.current, next=status.next, missing=status.missing
    ) | ({"run": event.run_id} if event and event.run_id else {})


def plan_document(planned: Plan, paths: list[Path]) -> dict[str, Any]:
    return build_document(
        "column_change_plan",
        name=planned.change.name,
        migrations=[f"{each.app_label}.{each.name}" for each in planned.migrations],
        files=[str(path) for path in paths],
        notes=list(planned.notes),
    )
