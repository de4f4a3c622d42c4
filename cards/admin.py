from django.contrib import admin

from cards.models import Asset, Card, PresentationRule


@admin.register(Card)
class CardAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["card_id", "title", "rarity", "rarity_v2", "pack_id", "updated_at"]
    list_filter = ["rarity", "pack_id"]
    search_fields = ["card_id", "title"]
    ordering = ["-pk"]
    readonly_fields = ["created_at", "updated_at"]
    show_full_result_count = False


@admin.register(PresentationRule)
class PresentationRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["rarity", "frame_color", "glow_effect", "badge_icon", "sort_order"]
    readonly_fields = ["created_at", "updated_at"]


@admin.register(Asset)
class AssetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["asset_key", "asset_type", "card", "mime_type", "file_size", "updated_at"]
    list_filter = ["asset_type", "mime_type"]
    list_select_related = ["card"]
    search_fields = ["asset_key", "file_path", "card__card_id"]
    autocomplete_fields = ["card"]
    ordering = ["-pk"]
    readonly_fields = ["created_at", "updated_at"]
    show_full_result_count = False
