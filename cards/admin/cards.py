"""Cards in the admin: searched, edited one by one with an audit row each, changed in bulk by operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.files.storage import default_storage
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html

from cards.admin.badge import badge
from cards.models import Card, PresentationRule
from cards.thumbnails.stale import is_elsewhere, render_stale
from ops.admin.audited import AuditedAdmin
from ops.admin.exporting import ExportingAdmin
from ops.admin.filters import MissingFilter, ValueFilter


class RarityFilter(ValueFilter):
    """The rarities are those that have a rule."""

    def values(self) -> Iterable[str]:
        return PresentationRule.objects.values_list("rarity", flat=True)


@admin.register(Card)
class CardAdmin(ExportingAdmin, AuditedAdmin):
    list_display = ["picture", "card_id", "title", "told_rarity", "rarity_v2", "pack_id", "updated_at"]
    list_display_links = ["picture", "card_id"]
    list_filter = [("rarity", RarityFilter), ("pack_id", ValueFilter), ("rarity_v2", MissingFilter)]
    search_fields = ["card_id", "title"]
    search_help_text = "A part of a card id or of a title."
    ordering = ["-pk"]
    sortable_by = ["card_id"]
    readonly_fields = ["large_picture", "created_at", "updated_at"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "large_picture",
                    "card_id",
                    "title",
                    "description",
                    "rarity",
                    "rarity_v2",
                    "pack_id",
                ]
            },
        ),
        ("More", {"fields": ["tags", "metadata", "image", "thumbnail", "created_at", "updated_at"]}),
    ]

    class Media:
        css = {"all": ["cards/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Card]:
        rows: QuerySet[Card] = super().get_queryset(request)
        rule = PresentationRule.objects.filter(rarity=OuterRef("rarity"))
        return rows.annotate(frame_color=Subquery(rule.values("frame_color")[:1]))

    def after(self, request: HttpRequest, saved: list[Any]) -> None:
        if saved:
            render_stale(request.user.get_username(), *(card.pk for card in saved))

    @admin.display(description="")
    def picture(self, card: Card) -> str:
        return _picture(card, "cards-small")

    @admin.display(description="picture")
    def large_picture(self, card: Card) -> str:
        return _picture(card, "cards-large")

    @admin.display(description="rarity", ordering="rarity")
    def told_rarity(self, card: Any) -> str:
        return badge(card.rarity, card.frame_color)


def _picture(card: Card, size: str) -> str:
    """The thumbnail, or else the illustration; one that stands elsewhere in the web is not loaded."""
    name = card.pk and (card.thumbnail or card.image)
    if not name or is_elsewhere(name):
        return format_html('<span class="cards-picture {} cards-none"></span>', size)
    return format_html(
        '<img class="cards-picture {}" src="{}" alt="{}" loading="lazy">',
        size,
        default_storage.url(name),
        card.title,
    )
