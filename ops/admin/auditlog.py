"""The audit log in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join

from ops.admin.readonly import ReadOnlyAdmin
from ops.models import AuditLog
from ops.report import words


@admin.register(AuditLog)
class AuditLogAdmin(ReadOnlyAdmin):
    # The largest table: only its indexed columns are searched.
    list_display = [
        "created_at",
        "action",
        "object_type",
        "object_id",
        "told_changes",
        "performed_by",
        "run_id",
    ]
    list_display_links = ["created_at"]
    search_fields = ["object_id__exact"]
    search_help_text = "The key of an object, as 42."
    ordering = ["-pk"]
    sortable_by = ()

    @admin.display(description="changes")
    def told_changes(self, row: AuditLog) -> str:
        told = format_html_join("", "<li>{}</li>", ((line,) for line in _lines(row.changes)))
        return format_html('<ul class="ops-changes">{}</ul>', told)


def _lines(changes: Any) -> list[str]:
    """Rows that were imported from elsewhere hold whatever was written there."""
    if not isinstance(changes, dict):
        return [words.value(changes)]
    return [f"{name}: {_change(told)}" for name, told in changes.items()]


def _change(told: Any) -> str:
    if isinstance(told, dict) and told.keys() <= {"old", "new"}:
        return f"{words.value(told.get('old'))} → {words.value(told.get('new'))}"
    return words.value(told)
