"""The pages of change sets: one's own, and what one would do, with the button that starts it."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from ops.admin.audit.audit_search import get_history_media
from ops.admin.change_sets.change_set_page import build_page, find_holder
from ops.admin.lists.large_tables import LargeTableAdmin
from ops.admin.live.live_page import format_status_badge
from ops.admin.live.run_words import explain_error, link_run
from ops.admin.starting.approvers import get_need_context
from ops.admin.starting.starting import start_run
from ops.change_sets.preview import list_runs
from ops.exceptions import ColumnClaimed, OpsError
from ops.models import ChangeSet, Run
from ops.operations import ApplyChangeSet
from ops.operations.scope import Scope
from ops.runs.creation import RunRequest
from ops.runs.status import compute_status
from ops.uploads.staging import SOURCE

_PAGE_SIZE = 50
_MAX_DRAFTS = 100
BEFORE_PARAM = "before"


class ChangeSetsAdmin(LargeTableAdmin):
    """An admin with pages for the change sets of its rows. Only their maker and superusers see one."""

    def get_urls(self) -> list[URLPattern]:
        def route(address: str, view: Any, name: str) -> Any:
            full_name = self.get_url_name(name).removeprefix("admin:")
            return path(f"changeset/{address}", self.admin_site.admin_view(view), name=full_name)

        return [
            route("", self.change_sets_view, "changeset"),
            route("<int:number>/", self.change_set_view, "changeset_detail"),
            route("<int:number>/start/", self.start_change_set_view, "changeset_start"),
            *super().get_urls(),
        ]

    def create_change_set_view(self, request: HttpRequest) -> HttpResponse:
        """Answer a posted document with the change set that it became."""
        return HttpResponseNotAllowed(["GET"])

    def change_sets_view(self, request: HttpRequest) -> HttpResponse:
        """List the user's own change sets, the newest first."""
        if request.method == "POST":
            return self.create_change_set_view(request)
        if not (self.has_view_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied
        before = request.GET.get(BEFORE_PARAM, "")
        found = self._list_own(request)
        if before.isdecimal():
            found = found.filter(pk__lt=int(before))
        sets = list(found.order_by("-pk")[: _PAGE_SIZE + 1])
        rows = _add_runs(sets[:_PAGE_SIZE])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "My change sets",
            "rows": rows,
            "nouns": self.opts.verbose_name_plural,
            "detail": self.get_url_name("changeset_detail"),
            "first_url": "?" if before else "",
            "next_url": f"?{urlencode({BEFORE_PARAM: rows[-1][0].pk})}" if len(sets) > _PAGE_SIZE else "",
        }
        return TemplateResponse(request, "ops/admin/change_sets.html", context)

    def _list_own(self, request: HttpRequest) -> QuerySet[ChangeSet]:
        return self._change_sets.filter(created_by=request.user.get_username())

    @property
    def _change_sets(self) -> QuerySet[ChangeSet]:
        """Those of the model, without uploads, which have pages of their own."""
        return ChangeSet.objects.filter(model=self.opts.label_lower).exclude(source=SOURCE)

    def list_draft_numbers(self, request: HttpRequest) -> list[int]:
        """Return the newest of the user's change sets that no run has applied."""
        number = Cast(OuterRef("pk"), TextField())
        runs = Run.objects.annotate(number=KT("params__change_set"))
        applied = runs.filter(operation=ApplyChangeSet.name, number=number)
        drafts = self._list_own(request).filter(~Exists(applied)).order_by("-pk")
        return list(drafts.values_list("pk", flat=True)[:_MAX_DRAFTS])

    def change_set_view(self, request: HttpRequest, number: int) -> HttpResponse:
        return self._show(request, self._get_change_set(request, number))

    def start_change_set_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Start the run; to a script, which waits for columns that another run writes, answer in JSON."""
        change_set = self._get_change_set(request, number)
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        is_script = request.headers.get("Accept") == "application/json"
        if (runs := list_runs(change_set)) and "again" not in request.POST:
            messages.info(request, f"This change set was started before: this is its run {runs[-1].pk}.")
            return _lead_to(runs[-1], is_script)
        try:
            run = self._start(request, change_set)
        except OpsError as exc:
            problem, is_claimed = explain_error(exc), isinstance(exc, ColumnClaimed)
            if is_script:
                return JsonResponse({"problem": str(problem), "is_claimed": is_claimed})
            return self._show(request, change_set, problem=problem)
        return _lead_to(run, is_script)

    def _start(self, request: HttpRequest, change_set: ChangeSet) -> Run:
        params: dict[str, Any] = {"change_set": change_set.pk}
        if request.POST.get("overwrite") == "on":
            params["overwrite"] = "on"
        return start_run(request, RunRequest(ApplyChangeSet, request.user.get_username(), params, workers=1))

    def _get_change_set(self, request: HttpRequest, number: int) -> ChangeSet:
        if not self.has_view_permission(request):
            raise PermissionDenied
        change_set = self._change_sets.filter(pk=number).first()
        if change_set is None:
            raise Http404(f"There is no change set {number}")
        if change_set.created_by != request.user.get_username() and not request.user.is_superuser:
            raise PermissionDenied
        return change_set

    def _show(self, request: HttpRequest, change_set: ChangeSet, **more: Any) -> HttpResponse:
        url = partial(reverse, args=[change_set.pk])
        page = build_page(request, change_set)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Change set {change_set.pk}",
            "media": get_history_media(request),
            "may_start": self.has_change_permission(request),
            "start_url": url(self.get_url_name("changeset_start")),
            "page_url": url(self.get_url_name("changeset_detail")),
            "change_sets_url": reverse(self.get_url_name("changeset")),
            "holder": find_holder(change_set),
            **page,
            **self._get_need(request, page.get("counts")),
            **more,
        }
        status = 409 if "problem" in more else 200
        return TemplateResponse(request, "ops/admin/change_set.html", context, status=status)

    def _get_need(self, request: HttpRequest, counts: Any) -> dict[str, Any]:
        """Return why it would wait for a second person; {} if it would not, or cannot be applied."""
        rows = counts.rows if counts else 0
        return get_need_context(request, ApplyChangeSet, Scope(), self.model, rows, "start")


def _add_runs(sets: list[ChangeSet]) -> list[tuple[ChangeSet, list[tuple[SafeString, str]]]]:
    """Return each change set with a link to each of its runs, and the run's state."""
    numbers = [number for each in sets for number in (each.pk, str(each.pk))]
    runs = Run.objects.filter(operation=ApplyChangeSet.name, params__change_set__in=numbers).order_by("pk")
    found = defaultdict(list)
    for run in runs:
        state = format_status_badge(compute_status(run))
        found[int(run.params["change_set"])].append((link_run(run.pk, "Run"), state))
    return [(each, found[each.pk]) for each in sets]


def _lead_to(run: Run, is_script: bool) -> HttpResponse:
    url = reverse("admin:ops_run_change", args=[run.pk])
    return JsonResponse({"url": url}) if is_script else HttpResponseRedirect(url)
