from __future__ import annotations

from django.contrib import admin
from django.template.defaultfilters import filesizeformat

from cards.models import Asset
from ops.admin.audited import AuditedAdmin
from ops.admin.filters import RecentValueFilter
from ops.admin.operations import OperationsAdmin


@admin.register(Asset)
class AssetAdmin(OperationsAdmin, AuditedAdmin):
    list_display = ["asset_key", "asset_type", "card", "mime_type", "size", "updated_at"]
    list_filter = [("asset_type", RecentValueFilter)]
    list_select_related = ["card"]
    search_fields = ["asset_key", "file_path"]
    search_help_text = "Part of a key or of a path."
    autocomplete_fields = ["card"]
    ordering = ["-pk"]
    sortable_by = ["asset_key"]
    readonly_fields = ["created_at", "updated_at"]

    @admin.display(description="size", ordering="file_size")
    def size(self, asset: Asset) -> str:
        return filesizeformat(asset.file_size)
