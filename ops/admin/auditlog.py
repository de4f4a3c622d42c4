"""The audit log in the admin."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from ops.admin.json_display import format_inline, parse_json_exactly, pretty_json
from ops.admin.readonly import ReadOnlyAdmin
from ops.formatting import format_time
from ops.models import AuditLog


@admin.register(AuditLog)
class AuditLogAdmin(ReadOnlyAdmin):
    page_template = "ops/admin/audit.html"
    # The audit log is the largest table, so only indexed columns are searched.
    list_display = [
        "created_at",
        "action",
        "object_type",
        "object_id",
        "changes_display",
        "performed_by",
        "run_id",
    ]
    list_display_links = ["created_at"]
    search_fields = ["object_id__exact"]
    search_help_text = "The primary key of an object, for example 42."
    ordering = ["-pk"]
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditLog]:
        """Read JSON columns as text, since Python's floats would change the digits of numbers."""
        rows: QuerySet[AuditLog] = super().get_queryset(request)
        as_text = {f"{name}_": Cast(name, TextField()) for name in ("changes", "metadata")}
        return rows.defer("changes", "metadata").annotate(**as_text)

    @admin.display(description="changes")
    def changes_display(self, row: Any) -> str:
        lines = (
            (f"{name}: {' → '.join(values)}" if name else values[0],) for name, values in _format_changes(row)
        )
        return format_html('<ul class="ops-changes">{}</ul>', format_html_join("", "<li>{}</li>", lines))

    def get_page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        facts = {
            "object": self._format_link(request, row.object_type, row.object_id)
            or f"{row.object_type} {row.object_id}",
            "run": row.run_id and (self._format_link(request, "ops.run", str(row.run_id)) or row.run_id),
            "user": row.performed_by,
            "time": format_time(row.created_at),
        }
        return {
            "heading": str(row),
            "facts": {name: fact for name, fact in facts.items() if fact},
            "changes": _format_changes(row),
            "metadata": row.metadata_ and pretty_json(parse_json_exactly(row.metadata_)),
        }

    def _format_link(self, request: HttpRequest, label: str, key: str) -> str:
        """A link to the object's page; "" if the object no longer exists or the user may not view it."""
        try:
            model_admin = self.admin_site.get_model_admin(apps.get_model(label))
        except (LookupError, ValueError, NotRegistered):  # ValueError: an imported row may have any label
            return ""
        row = model_admin.has_view_permission(request) and model_admin.get_object(request, key)
        if not row or not model_admin.has_view_permission(request, row):
            return ""
        meta = model_admin.opts
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[quote(row.pk)])
        return format_html('<a class="ops-link" href="{}">{}</a>', url, row)


def _format_changes(row: Any) -> list[tuple[str, list[str]]]:
    """Each column with its old and new value. Imported audit rows may hold JSON of any shape."""
    changes = parse_json_exactly(row.changes_)
    if not isinstance(changes, dict):
        return [("", [format_inline(changes)])]
    return [(name, _format_change_values(change)) for name, change in changes.items()]


def _format_change_values(change: Any) -> list[str]:
    if isinstance(change, dict) and change.keys() <= {"old", "new"}:
        return [format_inline(change.get("old")), format_inline(change.get("new"))]
    return [format_inline(change)]
