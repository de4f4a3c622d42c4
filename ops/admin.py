"""Runs and the audit log in the admin: to be read, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ops.models import AuditLog, Failure, Lane, Run


class ReadOnly:
    """What happened is not for the admin to change."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LaneInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Lane
    fields = ["number", "cursor", "upper", "changed", "failed", "batches", "finished", "heartbeat_at"]


class FailureInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Failure
    fields = ["object_id", "error", "created_at"]


@admin.register(Run)
class RunAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["pk", "operation", "state", "total", "performed_by", "created_at", "finished_at"]
    list_filter = ["state", "operation"]
    search_fields = ["operation", "performed_by"]
    inlines = [LaneInline, FailureInline]


@admin.register(AuditLog)
class AuditLogAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    # The largest table: only its indexed columns are searched, and its rows are not counted twice a page.
    list_display = ["created_at", "action", "object_type", "object_id", "performed_by", "run_id", "changes"]
    search_fields = ["object_id__exact"]
    ordering = ["-pk"]
    show_full_result_count = False
