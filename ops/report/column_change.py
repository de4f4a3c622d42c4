"""Column changes as text and as JSON: the list, one of them, and a step before and after it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ops.column_changes.actions import Action, Migrate, Record, ResumeRun, Verify, WriteMigration
from ops.column_changes.read_column import read_column
from ops.column_changes.status import ChangeStatus, list_steps
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.formatting import format_time, truncate
from ops.models import ColumnChangeEvent
from ops.report.column_usage import read_usage, usage_lines
from ops.report.document import build_document
from ops.report.table import format_table

_LIST_HEADER = ["change", "model", "from", "to", "done", "next", "readers use"]
_STEP_HEADER = ["step", "state", "when", "by", "run"]
_NAME_WIDTH = 24
_PURPOSES = {
    Step.EXPAND: "add {new}, and the triggers that write both columns together",
    Step.BACKFILL: "fill {new} in the rows that were there before",
    Step.VERIFY: "check every row of the table",
    Step.CONSTRAIN: "add the constraints and indexes of {new}",
    Step.SWITCH: "let readers use {new}",
    Step.RETIRE: "give {old} another name; the triggers still fill it",
    Step.DROP: "drop {old} and the triggers; this cannot be taken back",
}


def format_list(changes: list[ChangeStatus]) -> list[str]:
    if not changes:
        example = manage_command("startchange", "APP.MODEL", "COLUMN")
        return [f"No column change is declared. To begin one: {example}"]
    return format_table([_LIST_HEADER, *map(_list_row, changes)])


def _list_row(status: ChangeStatus) -> list[str]:
    change = status.change
    return [
        change.name,
        change.model._meta.label,
        change.old,
        change.new,
        status.current or "-",
        f"{status.next} (has to wait)" if status.next and status.missing else status.next or "-",
        read_column(change),
    ]


def format_status(status: ChangeStatus) -> list[str]:
    change = status.change
    facts = {
        "model": f"{change.model._meta.label}, table {change.model._meta.db_table}",
        "columns": f"{change.old} -> {change.new}",
        "readers": f"use {read_column(change)}",
    }
    return [
        f"{change.name}: {change.summary()}",
        *(f"  {name:<9} {value}" for name, value in facts.items()),
        "",
        *format_table([_STEP_HEADER, *(_step_row(status, step) for step in list_steps(change))]),
        *_migration_lines(status),
        *usage_lines(change, read_usage(status)),
        "",
        *_next_lines(status),
    ]


def step_state(status: ChangeStatus, step: Step) -> str:
    """Return done, next, closed (next, but it has to wait) or later."""
    if status.is_done(step):
        return "done"
    if step != status.next:
        return "later"
    return "closed" if status.missing else "next"


def _step_row(status: ChangeStatus, step: Step) -> list[str]:
    event = status.taken.get(step) if status.is_done(step) else None
    return [
        step,
        step_state(status, step),
        format_time(event.created_at) if event else "",
        truncate(event.performed_by, _NAME_WIDTH) if event else "",
        str(event.run_id or "") if event else "",
    ]


def _migration_lines(status: ChangeStatus) -> list[str]:
    if not status.migrations:
        return []
    rows = [
        [f"  {step}", str(migration), "applied" if migration.is_applied else "not applied"]
        for step, migration in sorted(status.migrations.items(), key=lambda item: item[0].position)
    ]
    return ["", "Migrations", *format_table(rows)]


def _next_lines(status: ChangeStatus) -> list[str]:
    step = status.next
    if step is None:
        return ["All steps are taken. The declaration can be deleted."]
    if status.missing:
        return [f"The next step, {step}, has to wait.", *(f"  {reason}" for reason in status.missing)]
    if step == Step.EXPAND and not status.migrations:
        command = manage_command("column_change", status.name, "plan")
        return [f"Nothing was done yet. To write the migrations: {command}"]
    command = manage_command("column_change", status.name, "next")
    return [f"The next step is {step}: {describe_step(status, step)}.", f"To see what it does: {command}"]


def describe_step(status: ChangeStatus, step: Step) -> str:
    return _PURPOSES[step].format(old=status.change.old, new=status.change.new)


def format_event(event: ColumnChangeEvent) -> str:
    """``backfill, run 12``; ``back from switch``."""
    back = "back from " if event.is_back else ""
    run = f", run {event.run_id}" if event.run_id else ""
    return f"{back}{event.step}{run}"


def format_recorded(status: ChangeStatus, action: Action) -> list[str]:
    """Return what was done, and what comes next; ``status`` is the one after it."""
    verb = "was taken back" if action.is_back else "is done"
    return [f"{status.name}: the step {action.step} {verb}.", *_next_lines(status)]


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
        yield f"writes the migration that takes it into the app {change.model._meta.app_label}"
    if isinstance(action, ResumeRun):
        yield f"continues run {action.run.pk}, which is {action.run.get_state_display()}"
    if isinstance(action, Verify):
        yield "counts the rows in one snapshot, and changes nothing"
    if isinstance(action, Record):
        yield _record_effect(action)
    if action.step == Step.EXPAND and action.is_back:
        yield f"the column {change.new} is dropped, with all of its values"


def _record_effect(action: Record) -> str:
    change = action.status.change
    if action.run:
        return f"run {action.run.pk} has done it, which is recorded"
    if action.step == Step.SWITCH:
        return f"readers use {change.old if action.is_back else change.new} within a second"
    if action.is_back:
        return "nothing is undone; the step counts as not taken"
    return f"{change.new} has no constraints or indexes to add; the step is recorded"


def status_document(status: ChangeStatus, **facts: Any) -> dict[str, Any]:
    change = status.change
    return build_document(
        "column_change",
        name=change.name,
        model=change.model._meta.label,
        old=change.old,
        new=change.new,
        readers_use=read_column(change),
        current=status.current,
        next=status.next,
        missing=status.missing,
        steps=[_step_json(status, step) for step in list_steps(change)],
        **facts,
    )


def _step_json(status: ChangeStatus, step: Step) -> dict[str, Any]:
    event = status.taken.get(step) if status.is_done(step) else None
    migration = status.migrations.get(step)
    return {
        "step": step,
        "state": step_state(status, step),
        "at": event.created_at.isoformat() if event else None,
        "performed_by": event.performed_by if event else None,
        "run": event.run_id if event else None,
        "reason": event.reason if event else "",
        "details": event.details if event else {},
        "migration": str(migration) if migration else None,
        "applied": migration.is_applied if migration else None,
    }


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
