"""Runs in the admin: the list, live pages, and buttons to pause, resume, cancel, retry or revert."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html

from ops import permissions
from ops.admin.lists.changelist import LargeTableChangeList
from ops.admin.live.controls import RUN_CONTROLS, NewRunControl, get_run_status
from ops.admin.live.live_page import LiveAdmin, ProgressSnapshot, get_percentage
from ops.admin.live.run_words import (
    build_breadcrumb,
    explain_error,
    explain_run_error,
    format_state,
    get_state_class,
    list_related_runs,
    name_run,
)
from ops.admin.runs.failed_rows import read_failed_rows
from ops.admin.runs.run_approval import decision_view, find_waiting, preview_view, waiting_page
from ops.admin.runs.run_changes import changes_view, download_view, may_view_changes
from ops.admin.runs.run_conflicts import conflicts_view, expected_conflicts_view, may_have_conflicts
from ops.admin.runs.run_facts import (
    get_row_nouns,
    list_facts,
    list_holds,
    list_lanes,
    list_operator_facts,
    list_warnings,
)
from ops.admin.runs.run_plot import read_plots
from ops.admin.starting.confirmation import Proposal, confirmation_view
from ops.admin.values.key_validation import is_valid_key
from ops.exceptions import OpsError
from ops.formatting import format_duration, format_rate, pluralize
from ops.health.monitor import format_unavailable
from ops.models import AuditLog, Run
from ops.report import run as report
from ops.runs.approvals import is_asker
from ops.runs.next_steps import RunAction, format_run_command, list_next_steps
from ops.runs.progress import Progress, read_progress
from ops.runs.reverts import read_reversal, read_reversals
from ops.states import ACTIVE, State

_FIRST_FAILURES, _FAILURES_PER_PAGE = 20, 100


class RunChangeList(LargeTableChangeList):
    """Reads at once which runs of the page were reverted."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        reversals = read_reversals(self.result_list) if self.result_list else {}
        for run in self.result_list:
            run.reversal = reversals[run.pk]


@admin.register(Run)
class RunAdmin(LiveAdmin):
    live_template = "ops/admin/_run.html"
    controls = RUN_CONTROLS
    list_display = [
        "number",
        "name_display",
        "state_display",
        "progress",
        "performed_by",
        "created_at",
        "finished_at",
    ]
    list_filter = ["state"]
    search_fields = ["operation", "performed_by"]
    search_help_text = "Name of an operation or of a user."

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Callable[..., HttpResponse]] = {
            "changes/": changes_view,
            "download/": download_view,
            "conflicts/": conflicts_view,
            "expected_conflicts/": expected_conflicts_view,
            "preview/": preview_view,
            **{f"{verb}/": partial(decision_view, verb=verb) for verb in ("approve", "decline")},
        }
        return [
            self.build_row_path("failures/", self.failures_view),
            *(self.build_row_path(route, partial(view, model_admin=self)) for route, view in views.items()),
            *super().get_urls(),
        ]

    def find_rows(self, request: HttpRequest, term: str) -> QuerySet[Run] | list[Run]:
        """Find the run with the number: ``12``, ``run 12``."""
        number = term.casefold().removeprefix("run").strip()
        if not is_valid_key(number, self.opts.pk) or not number.isdecimal():
            return []
        return self.get_queryset(request).filter(pk=number)

    def describe_row(self, row: Run) -> tuple[str, str]:
        return f"Run {row.pk}", name_run(row)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunChangeList]:
        return RunChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        rows: QuerySet[Run] = super().get_queryset(request)
        return rows.annotate(changed=Sum("lanes__changed", default=0), failed=Sum("lanes__failed", default=0))

    @admin.display(description="operation", ordering="operation")
    def name_display(self, run: Run) -> str:
        return name_run(run)

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
    def state_display(self, row: Any) -> str:
        return format_state(row, row.reversal)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if approval := find_waiting(self.get_row_or_404(request, object_id)):
            return waiting_page(request, self, approval)
        return super().change_view(request, object_id, *args, **kwargs)

    def may_use_control(self, request: HttpRequest, verb: str, row: Run) -> bool:
        """Whoever asked for a run may cancel it while it waits for a second person."""
        if verb == "cancel" and (approval := find_waiting(row)) and is_asker(approval, request.user):
            return True
        return permissions.may_control(request.user, verb, row)

    def explain_error(self, error: OpsError) -> str:
        return explain_error(error)

    def get_page_context(self, request: HttpRequest, row: Run) -> dict[str, Any]:
        progress = read_progress(row)
        since = ProgressSnapshot.from_request(request) or ProgressSnapshot(
            0, time.time() - progress.elapsed.total_seconds()
        )
        context = super().get_page_context(request, row)
        reversal, status, nouns = read_reversal(row), get_run_status(row), get_row_nouns(row)
        return {
            **context,
            "original": build_breadcrumb(row),
            "heading": name_run(row),
            "error": explain_run_error(row, nouns),
            "full_error": row.error,
            "state": format_state(row, reversal),
            "status_class": get_state_class(row, reversal),
            "done": f"{progress.done:,}",
            "total": f"{progress.total:,}",
            "rows_noun": nouns[1],
            "now": ProgressSnapshot.take(progress.done),
            "share": get_percentage(progress.done, progress.total),
            "speed": _format_rate(row, progress, since),
            "related": list_related_runs(row, reversal, nouns),
            "plots": read_plots(row),
            "lanes": list_lanes(row),
            "holds": list_holds(row),
            "facts": list_facts(row),
            "operator_facts": list_operator_facts(row),
            "commands": list_next_steps(status),
            "warnings": list_warnings(row, status),
            "notes": [*report.get_operation_notes(row), *format_unavailable(row.silent_health)],
            "changed_rows": pluralize(progress.changed, *nouns),
            "changes_url": self._get_changes_url(request, row),
            "conflicts_url": may_have_conflicts(row)
            and may_view_changes(self, request, row)
            and reverse(self.get_url_name("conflicts"), args=[row.pk]),
            "failures": read_failed_rows(request, self.admin_site, row, _FIRST_FAILURES),
            "failures_url": reverse(self.get_url_name("failures"), args=[row.pk]),
        }

    def _get_changes_url(self, request: HttpRequest, row: Run) -> str:
        """Return the URL of what the run changed; "" if that is nothing, or the user may not see it."""
        if not may_view_changes(self, request, row) or not AuditLog.objects.filter(run=row).exists():
            return ""
        return reverse(self.get_url_name("changes"), args=[row.pk])

    def failures_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show all failed rows, page by page."""
        row = self.get_row_or_404(request, number)
        after = request.GET.get("after", "").replace("\0", "")
        page = read_failed_rows(request, self.admin_site, row, _FAILURES_PER_PAGE, after or None)
        url = reverse(self.get_url_name("failures"), args=[row.pk])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": build_breadcrumb(row),
            "title": f"Failed {get_row_nouns(row)[1]} of run {row.pk}",
            "run_url": reverse(self.get_url_name("change"), args=[row.pk]),
            "failures": page,
            "command": format_run_command(row.pk, RunAction.FAILURES),
            "first_url": url if after else "",
            "next_url": f"{url}?{urlencode({'after': page.next_key})}" if page.next_key else "",
        }
        return TemplateResponse(request, "ops/admin/failures.html", context)

    def _list_links(self, request: HttpRequest, row: Run) -> dict[str, str]:
        if not may_view_changes(self, request, row):
            return {}
        url = reverse(self.get_url_name("expected_conflicts"), args=[row.pk])
        return {f"Which {get_row_nouns(row)[1]} it would leave as they are": url}

    def apply_control(self, request: HttpRequest, row: Run, control: Any) -> HttpResponse:
        """Show the confirmation page for controls that start a new run; apply the others at once."""
        if not isinstance(control, NewRunControl):
            return super().apply_control(request, row, control)
        back_url = reverse(self.get_url_name("change"), args=[row.pk])
        try:
            run_request = control.build_request(row, request.user.get_username())
        except OpsError as exc:
            messages.error(request, self.explain_error(exc))
            return HttpResponseRedirect(back_url)
        title = f"{control.verb.capitalize()} run {row.pk} ({name_run(row)})"
        rows = control.rows.format(rows=get_row_nouns(row)[1], number=row.pk)
        links = self._list_links(request, row) if control.verb == "revert" else {}
        proposal = Proposal(title, control.help_text, rows, run_request, back_url, links=links)
        return confirmation_view(request, self, proposal)


def _format_rate(run: Run, progress: Progress, since: ProgressSnapshot) -> str:
    """Return rate and time left of a running run, duration and mean rate of an ended one, else ""."""
    if run.state == State.RUNNING:
        return since.format_rate(progress.done, progress.total)
    if run.started_at is None or run.state in (*ACTIVE, State.PAUSED):
        return ""
    if not progress.done:
        return format_duration(progress.elapsed)
    return f"{format_duration(progress.elapsed)}, {format_rate(progress.changed, progress.elapsed)}"
