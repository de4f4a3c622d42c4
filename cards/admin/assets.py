"""Assets in the admin: pictures with their size and card, and what is missing of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cards.admin.picture import format_picture
from cards.models import Asset
from ops.admin.editing.audited import AuditedAdmin
from ops.admin.lists.filters import MissingFilter, RecentValueFilter
from ops.admin.starting.operations import OperationsAdmin


class CardFilter(MissingFilter):
    """Whether an asset belongs to a card, or to the whole catalogue."""

    def options(self) -> Iterable[tuple[str, str]]:
        return [("True", "Without a card"), ("False", "With a card")]


@admin.register(Asset)
class AssetAdmin(OperationsAdmin, AuditedAdmin):
    list_display = ["picture", "name", "asset_type", "card_link", "mime_type", "size", "updated_at"]
    list_display_links = ["picture", "name"]
    list_filter = [("asset_type", RecentValueFilter), ("card", CardFilter)]
    list_select_related = ["card"]
    # Compared in capitals, a million names take twice as long.
    search_fields = ["asset_key__contains", "file_path__contains"]
    search_help_text = "Part of a key or of a path"
    no_match_help = "A part of a key or of a path is enough; capitals matter."
    autocomplete_fields = ["card"]
    ordering = ["-pk"]
    sortable_by = ["name"]
    readonly_fields = ["file", "created_at", "updated_at"]
    fieldsets = [
        (None, {"fields": ["file", "card", "asset_type", "mime_type", "file_size"]}),
        (
            "More",
            {
                "fields": [
                    "asset_key",
                    "file_path",
                    "checksum",
                    "generated_by",
                    "metadata",
                    "created_at",
                    "updated_at",
                ]
            },
        ),
    ]

    class Media:
        css = {"all": ["cards/admin.css"]}
        js = ["cards/pictures.js"]

    def get_list_display(self, request: HttpRequest) -> Any:
        """Link to the cards only for those who may view them."""
        if request.user.has_perm("cards.view_card"):
            return self.list_display
        return ["card" if name == "card_link" else name for name in self.list_display]

    @admin.display(description="")
    def picture(self, asset: Asset) -> SafeString:
        return format_picture(_get_picture_name(asset), asset.asset_key, "cards-small")

    @admin.display(description="asset key", ordering="asset_key")
    def name(self, asset: Asset) -> SafeString:
        return format_html('<span class="cards-path" title="{0}">{0}</span>', asset.asset_key)

    @admin.display(description="card", empty_value="Without a card")
    def card_link(self, asset: Asset) -> SafeString | None:
        if asset.card is None:
            return None
        url = reverse("admin:cards_card_change", args=[asset.card.pk])
        return format_html('<a class="ops-link" href="{}">{}</a>', url, asset.card)

    @admin.display(description="size")
    def size(self, asset: Asset) -> str:
        return filesizeformat(asset.file_size)

    @admin.display(description="file")
    def file(self, asset: Asset) -> SafeString:
        size = filesizeformat(asset.file_size)
        if not _is_stored(asset.file_path):
            note = '<p class="ops-note ops-bad" id="missing">There is no file {} in the storage.</p>'
            return format_html(note, asset.file_path)
        picture = format_picture(_get_picture_name(asset), asset.asset_key, "cards-large")
        return format_html('{}<p class="cards-hint">{}, {}</p>', picture, asset.mime_type, size)


def _get_picture_name(asset: Asset) -> str:
    return asset.file_path if asset.mime_type.startswith("image/") else ""


def _is_stored(name: str) -> bool:
    try:
        return default_storage.exists(name)
    except SuspiciousFileOperation:  # a path may be anything
        return False
