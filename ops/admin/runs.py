"""Runs in the admin: listed, watched, halted, resumed, taken back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from ops import permissions
from ops.admin.confirmation import Proposal, confirm
from ops.admin.controls import CONTROLS, Another, Move
from ops.admin.live import badge, live
from ops.admin.readonly import ReadOnlyAdmin
from ops.exceptions import OpsError
from ops.models import Run
from ops.report import run as report


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
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

    def get_urls(self) -> list[URLPattern]:
        live = path("<int:number>/live/", self.admin_site.admin_view(self.live_view), name="ops_run_live")
        control = self.admin_site.admin_view(self.control_view)
        controls = [
            path(f"<int:number>/{verb}/", control, {"verb": verb}, name=f"ops_run_{verb}")
            for verb in CONTROLS
        ]
        return [live, *controls, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        rows: QuerySet[Run] = super().get_queryset(request)
        return rows.annotate(changed=Sum("lanes__changed", default=0), failed=Sum("lanes__failed", default=0))

    @admin.display(description="run", ordering="pk")
    def number(self, run: Run) -> str:
        return f"Run {run.pk}"

    @admin.display(description="state", ordering="state")
    def told_state(self, run: Run) -> str:
        return badge(run.state)

    @admin.display(description="changed")
    def progress(self, run: Any) -> str:
        failed = format_html(' · <span class="ops-bad-text">{} failed</span>', f"{run.failed:,}")
        return format_html("{} of {}{}", f"{run.changed:,}", f"{run.total:,}", failed if run.failed else "")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page of a run, instead of a form."""
        run = self._viewed(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": run,
            "title": f"Run {run.pk}",
            **live(request, run),
        }
        return TemplateResponse(request, "ops/admin/run.html", context)

    def live_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """What of the page changes while the run moves."""
        return TemplateResponse(request, "ops/admin/_run.html", live(request, self._viewed(request, number)))

    def control_view(self, request: HttpRequest, number: int, verb: str) -> HttpResponse:
        """Do something to the run: at once for POST, or after a page that confirms."""
        control = CONTROLS[verb]
        run = self._viewed(request, number)
        if not request.user.has_perms(permissions.for_control(verb, run)):
            raise PermissionDenied
        if isinstance(control, Another):
            return self._propose(request, run, control)
        if isinstance(control, Move) and request.method == "POST":
            return self._act(request, run, control)
        return HttpResponseNotAllowed(["POST"])

    def _propose(self, request: HttpRequest, run: Run, control: Another) -> HttpResponse:
        back = reverse("admin:ops_run_change", args=[run.pk])
        try:
            asked = control.propose(run, request.user.get_username())
        except OpsError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(back)
        title = f"{control.verb.capitalize()} run {run.pk}"
        return confirm(request, self, Proposal(title, control.told, report.scope(run), asked, back))

    def _act(self, request: HttpRequest, run: Run, control: Move) -> HttpResponse:
        try:
            if warning := control.act(run, request.user.get_username()):
                messages.warning(request, warning)
        except OpsError as exc:
            messages.error(request, str(exc))
        return HttpResponseRedirect(reverse("admin:ops_run_change", args=[run.pk]))

    def _viewed(self, request: HttpRequest, number: object) -> Run:
        """The run, for who may see it. Raises PermissionDenied, or Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, str(number))
        if run is None:
            raise Http404(f"there is no run {number}")
        found: Run = run
        return found
