"""Runs in the admin: listed, watched, halted, resumed, taken back."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst

from ops import permissions
from ops.admin.confirmation import Proposal, confirmation_view
from ops.admin.controls import RUN_CONTROLS, NewRunControl
from ops.admin.live_page import (
    LiveAdmin,
    ProgressSnapshot,
    format_status_badge,
    get_percentage,
    get_status_class,
)
from ops.exceptions import OpsError
from ops.formatting import format_duration, format_rate
from ops.health.hold import is_held
from ops.health.monitor import format_unavailable
from ops.models import Run
from ops.operations.scope import describe_scope
from ops.report import run as report
from ops.runs.progress import Progress, read_progress
from ops.runs.status import compute_status
from ops.states import ACTIVE, State


@admin.register(Run)
class RunAdmin(LiveAdmin):
    live_template = "ops/admin/_run.html"
    controls = RUN_CONTROLS
    list_display = [
        "number",
        "operation",
        "state_display",
        "progress",
        "performed_by",
        "created_at",
        "finished_at",
    ]
    list_filter = ["state"]
    search_fields = ["operation", "performed_by"]
    search_help_text = "An operation, or who asked."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        rows: QuerySet[Run] = super().get_queryset(request)
        return rows.annotate(changed=Sum("lanes__changed", default=0), failed=Sum("lanes__failed", default=0))

    @admin.display(description="changed")
    def progress(self, run: Any) -> str:
        failed = format_html(' · <span class="ops-bad-text">{} failed</span>', f"{run.failed:,}")
        return format_html(
            "{} of {}{}",
            f"{run.changed:,}",
            f"{max(run.total, run.changed + run.failed):,}",
            failed if run.failed else "",
        )

    @admin.display(description="status", ordering="state")
    def state_display(self, row: Run) -> str:
        return format_status_badge(compute_status(row))

    def may_use_control(self, request: HttpRequest, verb: str, row: Run) -> bool:
        return request.user.has_perms(permissions.required_permissions(verb, row))

    def get_page_context(self, request: HttpRequest, row: Run) -> dict[str, Any]:
        done = read_progress(row)
        since = ProgressSnapshot.from_request(request) or ProgressSnapshot(
            0, time.time() - done.elapsed.total_seconds()
        )
        failures, more_failures = report.read_first_failures(row)
        return {
            **super().get_page_context(request, row),
            "heading": row.operation,
            "state": format_status_badge(status := compute_status(row)),
            "mood": get_status_class(status),
            "done": f"{done.done:,}",
            "total": f"{done.total:,}",
            "now": ProgressSnapshot.take(done.done),
            "share": get_percentage(done.done, done.total),
            "speed": _format_rate(row, done, since),
            "facts": {
                k: v for k, v in report.detail_fields(row).items() if k not in ("error", "changed", "held")
            },
            "warnings": _list_warnings(row),
            "remarks": [*report.get_operation_notes(row), *format_unavailable(row.silent_health)],
            "failures": failures,
            "more_failures": more_failures,
        }

    def apply_control(self, request: HttpRequest, row: Run, control: Any) -> HttpResponse:
        """What asks for another run is confirmed before."""
        if not isinstance(control, NewRunControl):
            return super().apply_control(request, row, control)
        back = reverse(self.get_url_name("change"), args=[row.pk])
        try:
            asked = control.build_request(row, request.user.get_username())
        except OpsError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(back)
        title = f"{control.verb.capitalize()} run {row.pk}"
        return confirmation_view(
            request, self, Proposal(title, control.help_text, describe_scope(row), asked, back)
        )


def _format_rate(run: Run, told: Progress, since: ProgressSnapshot) -> str:
    """While it runs: rows a second and the time left. At its end: how long it took, and how fast it was."""
    if run.state == State.RUNNING:
        return since.format_rate(told.done, told.total)
    over = run.started_at is not None and run.state not in (*ACTIVE, State.PAUSED)
    return f"{format_duration(told.elapsed)}, {format_rate(told.changed, told.elapsed)}" if over else ""


def _list_warnings(run: Run) -> list[str]:
    """What holds it; where no worker is called, who must go on. What workers wait for is among the facts."""
    if is_held(run):
        return [capfirst(report.format_hold(run)), *map(str, report.hold_override_steps(run))]
    if run.workers is None and run.state == State.QUEUED:
        return [f"It waits for a terminal. {report.format_next_step(run)}"]
    return []
