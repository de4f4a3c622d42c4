"""The details of a run's page: in plain words for staff, and with commands for operators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django import forms
from django.apps import apps
from django.db.models import Model
from django.forms.utils import pretty_name
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ops.admin.live.run_words import label_field, link_run
from ops.exceptions import OpsError
from ops.formatting import format_duration, format_time_in_words, format_value
from ops.models import Run, Upload
from ops.operations import ApplyChangeSet, registry
from ops.operations.revert import get_reverted_run
from ops.report import run as report
from ops.report.approval import format_decision
from ops.runs.approval_policy import find_approval
from ops.runs.next_steps import RunAction, RunStatus
from ops.runs.progress import read_progress
from ops.states import HELD, STALLED, State

_MAX_LANES = 32
# What the page says elsewhere.
_SHOWN_FIELDS = ("error", "changed", "next", "reverted", "follows", "comment", "approval")


def find_model(run: Run) -> type[Model] | None:
    """Return the model of the run's rows; None if it no longer exists."""
    try:
        return apps.get_model(run.model)
    except LookupError:
        return None


def get_row_nouns(run: Run) -> tuple[str, str]:
    """Return what one row and several rows of the run's model are called."""
    model = find_model(run)
    if model is None:
        return "row", "rows"
    return str(model._meta.verbose_name), str(model._meta.verbose_name_plural)


def list_facts(run: Run) -> dict[str, str | SafeString]:
    """Return what the run was asked, by whom and when, without the empty ones."""
    facts: dict[str, str | SafeString] = {
        **_list_params(run),
        get_row_nouns(run)[1].capitalize(): _describe_rows(run),
        "Fields": ", ".join(_iter_fields(run)),
        "Requested": f"{_format_time(run.created_at)} by {run.performed_by}",
        **_list_decision(run),
        "Started": _format_time(run.started_at),
        "Ended": _format_time(run.finished_at),
        "Duration": format_duration(read_progress(run).elapsed) if run.started_at else "",
    }
    return {name: value for name, value in facts.items() if value}


def _iter_fields(run: Run) -> Iterator[str]:
    """Yield what the run changes; that of an upload also claims columns for the sake of its new rows."""
    model, upload = find_model(run), _find_upload(run)
    for name in run.columns if upload is None else upload.changed_columns:
        yield label_field(model, name) if model else name
    if upload and upload.created:
        yield f"all of new {get_row_nouns(run)[1]}"


def _find_upload(run: Run) -> Upload | None:
    """Return the upload that the run applies, or whose run it reverts."""
    number = get_reverted_run(run)
    applied = run if number is None else Run.objects.filter(pk=number).first()
    if applied is None or applied.operation != ApplyChangeSet.name:
        return None
    return Upload.objects.filter(change_set=applied.params["change_set"]).first()


def _list_decision(run: Run) -> dict[str, str]:
    """Return what a second person was asked, and the answer."""
    approval = find_approval(run)
    if approval is None or not approval.decision:
        return {}
    answer = f"{format_decision(approval)} ({_format_time(approval.decided_at)})"
    return {"Comment": approval.comment, "Second person": answer}


def _format_time(when: datetime | None) -> str:
    if when is None:
        return ""
    local = timezone.localtime(when)
    return f"{format_time_in_words(local, timezone.localtime())} {local:%Z}"


def _list_params(run: Run) -> dict[str, str]:
    if get_reverted_run(run) is not None:
        return {}
    try:
        fields = registry.get_operation(run.operation).Params.base_fields
    except OpsError:
        fields = {}
    hidden = {"change_set"} if run.operation == ApplyChangeSet.name else set()  # its rows tell it
    switches = {name for name, field in fields.items() if isinstance(field, forms.BooleanField)}
    labels = {
        name: str(field.label or pretty_name(name)) for name, field in fields.items() if name not in hidden
    }
    names = [
        *labels,
        *(name for name in run.params if name not in {*labels, *hidden}),
    ]  # in the order of the form
    values = {name: run.params.get(name) for name in names}
    return {
        labels.get(name, pretty_name(name)): "yes"
        if value is True or name in switches
        else format_value(value)
        for name, value in values.items()
        if value not in (None, False, "")
    }


def _describe_rows(run: Run) -> SafeString:
    """``all``, or ``pack id = birds and 30 chosen cards``."""
    return format_html_join(" and ", "{}", ((part,) for part in [*_iter_conditions(run)] or ["all"]))


def _iter_conditions(run: Run) -> Iterator[str | SafeString]:
    model, (one, many) = find_model(run), get_row_nouns(run)
    reverted = get_reverted_run(run)
    changed_by = run.scope.get("changed_by") if reverted is None else reverted
    if changed_by is not None:
        yield format_html("those that {} changed", link_run(changed_by))
    if run.operation == ApplyChangeSet.name:
        yield f"those of change set {run.params.get('change_set')}"
    for name, value in run.scope.get("filter", {}).items():
        label = label_field(model, name) if model else name
        yield f"{label} missing" if value is None else f"{label} = {format_value(value)}"
    if run.scope.get("keys"):
        count = run.keys.count()
        yield f"{count:,} chosen {one if count == 1 else many}"


def list_operator_facts(run: Run) -> dict[str, str]:
    fields = report.detail_fields(run)
    return {name: value for name, value in fields.items() if name not in _SHOWN_FIELDS}


def list_warnings(run: Run, status: RunStatus) -> list[str]:
    """Explain why a run does not advance, and what happens next."""
    if run.state == State.CANCELLED and run.started_at is None and (approval := find_approval(run)):
        return [f"It never started: {format_decision(approval)}"]
    if status.status == HELD and run.held_until is not None:
        return [
            f"The run waits until {run.held_until:%H:%M:%S} UTC, because the database is under strain."
            " It continues by itself."
        ]
    if status.has_no_worker:
        return ["The run waits, because no worker answers. It continues by itself once a worker is started."]
    if run.workers is None and status.status == State.QUEUED:
        return ["The run was prepared in a terminal, and waits there for an operator to start it."]
    if run.workers is None and status.status == STALLED and status.allows(RunAction.RESUME):
        return ["The run has stopped, because its process has ended. To continue it, select “Resume”."]
    return []


@dataclass(frozen=True)
class LaneRow:
    """A lane for the page: its range of keys, where it is, and what it has done."""

    number: int
    keys: str
    position: str
    changed: str
    failed: int
    batches: str
    mean: str
    is_finished: bool


def list_lanes(run: Run) -> list[LaneRow]:
    """List the first lanes of the run, with the mean duration of their batches."""
    return [
        LaneRow(
            lane.number + 1,
            f"{lane.lower or 'the first'} to {lane.upper or 'the last'}",
            lane.cursor or "",
            f"{lane.changed:,}",
            lane.failed,
            f"{lane.batches:,}",
            f"{1000 * lane.busy.total_seconds() / lane.batches:,.0f} ms" if lane.batches else "",
            lane.finished,
        )
        for lane in run.lanes.order_by("number")[:_MAX_LANES]
    ]


def list_holds(run: Run) -> list[tuple[str, str, str]]:
    """List the newest holds, the last one first: since when, how long, and why."""
    now = timezone.localtime()
    holds = []
    for hold in reversed(run.holds):
        since = timezone.localtime(datetime.fromisoformat(hold["since"]))
        until = hold["until"] and datetime.fromisoformat(hold["until"])
        span = f"for {format_duration(until - since)}" if until else "not yet ended" if run.held_until else ""
        holds.append((f"{format_time_in_words(since, now)}:{since:%S}", span, hold["reason"]))
    return holds
