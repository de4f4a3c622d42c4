"""Column changes as text and as JSON: the list, one of them, and a step before and after it is taken."""

from __future__ import annotations

from typing import Any

from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.readers import read_column
from ops.column_changes.steps import Step
from ops.column_changes.taking.status import ChangeStatus
from ops.command_lines import manage_command
from ops.formatting import format_time, truncate
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
    Step.DROP: "drop the retired column and the triggers; this cannot be taken back",
}
_REMOVAL_PURPOSES = {
    Step.EXPAND: "record who writes {old}, and let new rows leave it out",
    Step.RETIRE: "give {old} another name",
    Step.DROP: "drop the retired column; this cannot be taken back",
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
        _new_field(change) or "-",
        status.current or "-",
        f"{status.next} (has to wait)" if status.next and status.missing else status.next or "-",
        _readers_use(change) or "-",
    ]


def _new_field(change: type[BaseColumnChange]) -> str | None:
    return change.new if issubclass(change, ColumnChange) else None


def _readers_use(change: type[BaseColumnChange]) -> str | None:
    return read_column(change) if issubclass(change, ColumnChange) else None


def format_status(status: ChangeStatus) -> list[str]:
    change = status.change
    facts = {
        "model": f"{change.model._meta.label}, table {change.model._meta.db_table}",
        **_column_facts(change),
    }
    return [
        f"{change.name}: {change.summary()}",
        *(f"  {name:<9} {value}" for name, value in facts.items()),
        "",
        *format_table([_STEP_HEADER, *(_step_row(status, step) for step in change.list_steps())]),
        *_migration_lines(status),
        *usage_lines(change, read_usage(status)),
        "",
        *next_lines(status),
    ]


def _column_facts(change: type[BaseColumnChange]) -> dict[str, str]:
    if not issubclass(change, ColumnChange):
        return {"column": f"{change.old}, to be removed"}
    return {"columns": f"{change.old} -> {change.new}", "readers": f"use {read_column(change)}"}


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


def next_lines(status: ChangeStatus) -> list[str]:
    step = status.next
    if status.to_write:
        return _write_lines(status, status.to_write)
    if step is None:
        return ["All steps are taken. The declaration can be deleted."]
    if status.missing:
        return [f"The next step, {step}, has to wait.", *(f"  {reason}" for reason in status.missing)]
    command = manage_command("column_change", status.name, "next")
    return [f"The next step is {step}: {describe_step(status, step)}.", f"To see what it does: {command}"]


def _write_lines(status: ChangeStatus, step: Step) -> list[str]:
    if step == Step.EXPAND:
        command = manage_command("column_change", status.name, "plan")
        return [f"Nothing is done yet. To write the migrations: {command}"]
    command = manage_command("column_change", status.name, "next", "--execute")
    lines = [f"The migration of the step {step} is not written yet. To write it: {command}"]
    if status.missing and step == status.next:
        lines += ["In this database the step would have to wait:", *(f"  {why}" for why in status.missing)]
    return lines


def describe_step(status: ChangeStatus, step: Step) -> str:
    change = status.change
    purposes = _PURPOSES if issubclass(change, ColumnChange) else _REMOVAL_PURPOSES
    return purposes[step].format(old=change.old, new=_new_field(change))


def status_document(status: ChangeStatus, **facts: Any) -> dict[str, Any]:
    change = status.change
    return build_document(
        "column_change",
        name=change.name,
        model=change.model._meta.label,
        old=change.old,
        new=_new_field(change),
        readers_use=_readers_use(change),
        current=status.current,
        next=status.next,
        missing=status.missing,
        to_write=status.to_write,
        steps=[_step_json(status, step) for step in change.list_steps()],
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
