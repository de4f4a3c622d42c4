from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from cards.admin.badge import format_color, format_rarity_badge
from cards.admin.rarity import explain_missing_rule, get_rarity_badge
from cards.models import Card, PresentationRule
from cards.rarity import rarity_field
from cards.thumbnails.badges import BADGES
from cards.thumbnails.stale import request_stale_rendering
from ops.admin.audited import AuditedAdmin
from ops.admin.value_diff import Badge


@admin.register(PresentationRule)
class PresentationRuleAdmin(AuditedAdmin):
    list_display = ["rarity_display", "frame_color", "glow_effect", "badge_icon", "sort_order"]
    search_fields = ["rarity"]
    search_help_text = "Part of a rarity."
    readonly_fields = ["created_at", "updated_at"]

    class Media:
        css = {"all": ["ops/admin.css", "cards/admin.css"]}

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "badge_icon":
            field.help_text = f"One of: {', '.join(BADGES)}. Empty for no badge."
        return field

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.badge_icon not in ("", *BADGES):
            messages.warning(
                request,
                f"The badge “{obj.badge_icon}” of {obj} does not exist, so none is drawn."
                f" Badges: {', '.join(BADGES)}.",
            )
        if change and "rarity" in form.changed_data:
            self._warn_missing_rules(request, [form.base_values["rarity"]])

    def _delete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super()._delete_rows(request, rows)
        self._warn_missing_rules(request, [rule.rarity for rule in rows])

    def _warn_missing_rules(self, request: HttpRequest, rarities: list[str]) -> None:
        for rarity in rarities:
            cards = Card.objects.filter(**{rarity_field(): rarity})
            if (problem := explain_missing_rule(rarity)) and cards.exists():
                messages.warning(request, f"{problem} Without a rule its cards get no thumbnail.")

    def after_write(self, request: HttpRequest, saved: list[Any]) -> None:
        request_stale_rendering(request.user.get_username())

    def get_history_badges(self) -> Mapping[str, Badge]:
        return {"rarity": get_rarity_badge(), "frame_color": format_color}

    @admin.display(description="rarity", ordering="rarity")
    def rarity_display(self, rule: PresentationRule) -> str:
        return format_rarity_badge(rule.rarity, rule.frame_color)
