"""Exports in the admin: the list, the live page of one, its cancel button and its files."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import URLPattern

from ops import permissions
from ops.admin.live.controls import TransitionControl
from ops.admin.live.live_page import LiveAdmin, ProgressSnapshot, get_percentage
from ops.command_lines import manage_command
from ops.export import queue
from ops.formatting import format_size, pluralize
from ops.models import Export, ExportState
from ops.report import export as report


def _may_cancel(export: Export) -> bool:
    return export.state in (ExportState.QUEUED, ExportState.RUNNING)


def _cancel_export(export: Export, by: str) -> str:
    queue.cancel_export(export)
    return ""


@admin.register(Export)
class ExportAdmin(LiveAdmin):
    live_template = "ops/admin/_export.html"
    controls = {
        "cancel": TransitionControl(
            "cancel", "stop", "Stop the export and delete its files.", _may_cancel, _cancel_export
        )
    }
    list_display = [
        "number",
        "state_display",
        "rows_display",
        "size",
        "performed_by",
        "created_at",
        "finished_at",
    ]
    list_filter = ["state"]
    search_fields = ["performed_by"]
    search_help_text = "Name of a user."

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Require the export permission, since whoever sees an export can download its rows."""
        return request.user.has_perm(permissions.EXPORT_PERMISSION)

    def get_urls(self) -> list[URLPattern]:
        return [self.build_row_path("files/<str:name>", self.file_view), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        rows: QuerySet[Export] = super().get_queryset(request)
        return rows.defer("asked", "summary")  # they may hold the keys of many rows

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"command": manage_command("export_json", "--queue"), **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, context)
        return response

    @admin.display(description="rows", ordering="rows")
    def rows_display(self, export: Export) -> str:
        return report.format_row_count(export)

    @admin.display(ordering="bytes")
    def size(self, export: Export) -> str:
        return format_size(export.bytes)

    def get_page_context(self, request: HttpRequest, row: Export) -> dict[str, Any]:
        now = ProgressSnapshot.take(row.rows)
        succeeded, running = row.state == ExportState.SUCCEEDED, row.state == ExportState.RUNNING
        files, problem = _list_files(row)
        return {
            **super().get_page_context(request, row),
            "heading": f"Export {row.pk}",
            "rows": f"{row.rows:,}",
            "total": pluralize(row.total, "row"),
            "waiting": row.state == ExportState.QUEUED,
            "size": format_size(row.bytes),
            "share": get_percentage(row.rows, row.total) if row.total else 100.0 * succeeded,
            "now": now,
            "speed": (ProgressSnapshot.from_request(request) or now).format_rate(row.rows, row.total)
            if running
            else "",
            "files": files,
            "warnings": [problem] if problem else [],
            "facts": report.export_fields(row),
        }

    def file_view(self, request: HttpRequest, number: int, name: str) -> HttpResponseBase:
        """Stream one file of the export as a download."""
        export = self.get_row_or_404(request, number)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        try:
            file = queue.open_file(export, name)
        except queue.ExportUnavailable as exc:
            raise Http404(str(exc)) from exc
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"}
        return FileResponse(file, as_attachment=True, filename=name, headers=headers)


def _list_files(export: Export) -> tuple[list[tuple[str, str, str]], str]:
    """Return (name, rows, size) of each file, and "" or why the files of a finished export are missing."""
    if export.state != ExportState.SUCCEEDED:
        return [], ""
    summary = (export.summary or {}).get("files", {})
    try:
        sizes = queue.list_files(export)
    except queue.ExportUnavailable as exc:
        return [], str(exc)
    return [
        (
            name,
            pluralize(summary[name]["rows"], "row") if name in summary else "",
            format_size(size),
        )
        for name, size in sizes.items()
    ], ""
