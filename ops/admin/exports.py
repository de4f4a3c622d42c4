"""Exports in the admin: listed, watched, cancelled, and their files fetched."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from ops import permissions
from ops.admin.live import Look, badge, first_look, mood, share
from ops.admin.readonly import ReadOnlyAdmin
from ops.export import queue
from ops.models import Export, ExportState
from ops.report import export as report
from ops.report import words

_CAN_BE_CANCELLED = (ExportState.QUEUED, ExportState.RUNNING)


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    list_display = ["number", "told_state", "told_rows", "size", "performed_by", "created_at", "finished_at"]
    list_filter = ["state"]
    search_fields = ["performed_by"]
    search_help_text = "Who asked."

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may export may see all exports, and who may not sees none: their rows are to be had here."""
        return request.user.has_perm(permissions.EXPORT)

    def get_urls(self) -> list[URLPattern]:
        views = {
            "live/": (self.live_view, "live"),
            "cancel/": (self.cancel_view, "cancel"),
            "files/<str:name>": (self.file_view, "file"),
        }
        urls = [
            path(f"<int:number>/{route}", self.admin_site.admin_view(view), name=f"ops_export_{name}")
            for route, (view, name) in views.items()
        ]
        return [*urls, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        rows: QuerySet[Export] = super().get_queryset(request)
        return rows.defer("asked", "summary")  # with the keys of many rows, no small ones

    @admin.display(description="export", ordering="pk")
    def number(self, export: Export) -> str:
        return f"Export {export.pk}"

    @admin.display(description="state", ordering="state")
    def told_state(self, export: Export) -> str:
        return badge(export.state)

    @admin.display(description="rows", ordering="rows")
    def told_rows(self, export: Export) -> str:
        return report.rows(export)

    @admin.display(ordering="bytes")
    def size(self, export: Export) -> str:
        return words.size(export.bytes)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page of an export, instead of a form."""
        export = self._viewed(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": export,
            "title": f"Export {export.pk}",
            **_live(request, export),
        }
        return TemplateResponse(request, "ops/admin/export.html", context)

    def live_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """What of the page changes while the export is written."""
        context = _live(request, self._viewed(request, number))
        return TemplateResponse(request, "ops/admin/_export.html", context)

    def cancel_view(self, request: HttpRequest, number: int) -> HttpResponse:
        export = self._viewed(request, number)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            queue.cancel(export)
        except queue.NotToBeHad as exc:
            messages.error(request, str(exc))
        return HttpResponseRedirect(reverse("admin:ops_export_change", args=[export.pk]))

    def file_view(self, request: HttpRequest, number: int, name: str) -> HttpResponseBase:
        """One of its files, to be kept and never shown: it is not held in memory."""
        export = self._viewed(request, number)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        try:
            file = queue.open_file(export, name)
        except queue.NotToBeHad as exc:
            raise Http404(str(exc)) from exc
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"}
        return FileResponse(file, as_attachment=True, filename=name, headers=headers)

    def _viewed(self, request: HttpRequest, number: object) -> Export:
        """The export, for who may see it. Raises PermissionDenied, or Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = self.get_object(request, str(number))
        if export is None:
            raise Http404(f"there is no export {number}")
        found: Export = export
        return found


def _live(request: HttpRequest, export: Export) -> dict[str, Any]:
    """The context of ``_export.html``."""
    now = Look(export.rows, time.time())
    since = first_look(request) or now
    succeeded, running = export.state == ExportState.SUCCEEDED, export.state == ExportState.RUNNING
    files, problem = _files(export)
    return {
        "export": export,
        "rows": f"{export.rows:,}",
        "total": words.plural(export.total, "row"),
        "waiting": export.state == ExportState.QUEUED,
        "size": words.size(export.bytes),
        "share": share(export.rows, export.total) if export.total else 100.0 * succeeded,
        "now": now,
        "speed": since.pace(export.rows, export.total) if running else "",
        "mood": mood(export.state),
        "moves": export.state in queue.MOVING,
        "can_be_cancelled": export.state in _CAN_BE_CANCELLED,
        "files": files,
        "problem": problem,
        "facts": report.facts(export),
    }


def _files(export: Export) -> tuple[list[tuple[str, str, str]], str]:
    """The name, rows and size of each file; or why they are not to be had, where they should be."""
    if export.state != ExportState.SUCCEEDED:
        return [], ""
    told = (export.summary or {}).get("files", {})
    try:
        sizes = queue.files(export)
    except queue.NotToBeHad as exc:
        return [], str(exc)
    return [
        (name, words.plural(told[name]["rows"], "row") if name in told else "", words.size(size))
        for name, size in sizes.items()
    ], ""
