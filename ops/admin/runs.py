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

from ops import permissions, words
from ops.admin.confirmation import Proposal, confirm
from ops.admin.controls import CONTROLS, Another
from ops.admin.live import LiveAdmin, Look, badge, mood, share
from ops.exceptions import OpsError
from ops.health.health import silences
from ops.health.hold import is_held
from ops.models import Run
from ops.outlook import status_of
from ops.progress import Progress, progress_of
from ops.report import run as report
from ops.scope import words_of
from ops.states import MOVING, State


@admin.register(Run)
class RunAdmin(LiveAdmin):
    live = "ops/admin/_run.html"
    controls = CONTROLS
    list_display = [
        "number",
        "operation",
        "told_state",
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
    def told_state(self, row: Run) -> str:
        return badge(status_of(row))

    def may(self, request: HttpRequest, verb: str, row: Run) -> bool:
        return request.user.has_perms(permissions.for_control(verb, row))

    def told(self, request: HttpRequest, row: Run) -> dict[str, Any]:
        done = progress_of(row)
        since = Look.first(request) or Look(0, time.time() - done.elapsed.total_seconds())
        failures, more_failures = report.failures(row)
        return {
            **super().told(request, row),
            "heading": row.operation,
            "state": badge(status := status_of(row)),
            "mood": mood(status),
            "done": f"{done.done:,}",
            "total": f"{done.total:,}",
            "now": Look.now(done.done),
            "share": share(done.done, done.total),
            "speed": _speed(row, done, since),
            "facts": {k: v for k, v in report.facts(row).items() if k not in ("error", "changed", "held")},
            "warnings": _warnings(row),
            "remarks": [*report.remarks(row), *silences(row.silent_health)],
            "failures": failures,
            "more_failures": more_failures,
        }

    def use(self, request: HttpRequest, row: Run, control: Any) -> HttpResponse:
        """What asks for another run is confirmed before."""
        if not isinstance(control, Another):
            return super().use(request, row, control)
        back = reverse(self.url("change"), args=[row.pk])
        try:
            asked = control.propose(row, request.user.get_username())
        except OpsError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(back)
        title = f"{control.verb.capitalize()} run {row.pk}"
        return confirm(request, self, Proposal(title, control.told, words_of(row), asked, back))


def _speed(run: Run, told: Progress, since: Look) -> str:
    """While it runs: rows a second and the time left. At its end: how long it took, and how fast it was."""
    if run.state == State.RUNNING:
        return since.pace(told.done, told.total)
    over = run.started_at is not None and run.state not in (*MOVING, State.PAUSED)
    return f"{words.duration(told.elapsed)}, {words.rate(told.changed, told.elapsed)}" if over else ""


def _warnings(run: Run) -> list[str]:
    """What holds it; where no worker is called, who must go on. What workers wait for is among the facts."""
    if is_held(run):
        return [capfirst(report.hold(run)), *map(str, report.past_the_hold(run))]
    if run.workers is None and run.state == State.QUEUED:
        return [f"It waits for a terminal. {report.next_step(run)}"]
    return []
