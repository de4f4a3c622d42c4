"""Runs in the admin: the list, live pages, and buttons to pause, resume, cancel, retry or revert."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

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
from ops.models import AuditLog, Run
from ops.operations.scope import describe_scope
from ops.report import run as report
from ops.runs.next_steps import RunAction, format_run_command
from ops.runs.progress import Progress, read_progress
from ops.runs.status import compute_status, describe_next_step, read_run_status
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
    search_help_text = "Name of an operation or of a user."

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
        progress = read_progress(row)
        since = ProgressSnapshot.from_request(request) or ProgressSnapshot(
            0, time.time() - progress.elapsed.total_seconds()
        )
        status = compute_status(row)
        failures, more_failures = report.read_first_failures(row)
        return {
            **super().get_page_context(request, row),
            "heading": row.operation,
            "state": format_status_badge(status),
            "status_class": get_status_class(status),
            "done": f"{progress.done:,}",
            "total": f"{progress.total:,}",
            "now": ProgressSnapshot.take(progress.done),
            "share": get_percentage(progress.done, progress.total),
            "speed": _format_rate(row, progress, since),
            "facts": _detail_facts(row),
            "warnings": _list_warnings(row),
            "notes": [*report.get_operation_notes(row), *format_unavailable(row.silent_health)],
            "changes_url": self._get_changes_url(request, row),
            "failures": failures,
            "more_failures": more_failures,
        }

    def _get_changes_url(self, request: HttpRequest, row: Run) -> str:
        """Return the URL of the run's rows in the audit log; "" if there are none that the user may see."""
        may_view = self.admin_site.get_model_admin(AuditLog).has_view_permission(request)
        if not may_view or not AuditLog.objects.filter(run=row).exists():
            return ""
        return reverse("admin:ops_auditlog_changelist", query={"run": row.pk})

    def apply_control(self, request: HttpRequest, row: Run, control: Any) -> HttpResponse:
        """Show the confirmation page for controls that start a new run; apply the others at once."""
        if not isinstance(control, NewRunControl):
            return super().apply_control(request, row, control)
        back_url = reverse(self.get_url_name("change"), args=[row.pk])
        try:
            run_request = control.build_request(row, request.user.get_username())
        except OpsError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(back_url)
        title = f"{control.verb.capitalize()} run {row.pk}"
        return confirmation_view(
            request, self, Proposal(title, control.help_text, describe_scope(row), run_request, back_url)
        )


def _format_rate(run: Run, progress: Progress, since: ProgressSnapshot) -> str:
    """Return rate and time left of a running run, duration and mean rate of an ended one, else ""."""
    if run.state == State.RUNNING:
        return since.format_rate(progress.done, progress.total)
    if run.started_at is None or run.state in (*ACTIVE, State.PAUSED):
        return ""
    if not progress.done:
        return format_duration(progress.elapsed)
    return f"{format_duration(progress.elapsed)}, {format_rate(progress.changed, progress.elapsed)}"


def _detail_facts(run: Run) -> dict[str, str]:
    """Return the details without those that the page shows in other places."""
    fields = report.detail_fields(run)
    if "next" in fields:
        fields["next"] = "; ".join(report.iter_followups(run, ", deferred until the holding run ends"))
    return {name: value for name, value in fields.items() if name not in ("error", "changed", "held")}


def _list_warnings(run: Run) -> list[str]:
    """Explain a hold, and a queued run that no worker will start. The details name missing workers."""
    if is_held(run):
        return [report.format_hold(run), *map(str, report.hold_override_steps(run))]
    if run.workers is None and run.state == State.QUEUED:
        # On a page there is no "this terminal", which the next step of a resumable run names.
        if read_run_status(run).allows(RunAction.RESUME):
            command = format_run_command(run.pk, RunAction.RESUME)
            return [f"This run waits to be started in a terminal: {command}"]
        return [f"This run waits to be started in a terminal. {describe_next_step(run)}"]
    return []
