from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from cards.admin.badge import badge
from cards.models import PresentationRule
from cards.thumbnails.stale import render_stale
from ops.admin.audited import AuditedAdmin


@admin.register(PresentationRule)
class PresentationRuleAdmin(AuditedAdmin):
    list_display = ["told_rarity", "frame_color", "glow_effect", "badge_icon", "sort_order"]
    readonly_fields = ["created_at", "updated_at"]

    class Media:
        css = {"all": ["ops/admin.css", "cards/admin.css"]}

    def after(self, request: HttpRequest, saved: list[Any]) -> None:
        render_stale(request.user.get_username())

    @admin.display(description="rarity", ordering="rarity")
    def told_rarity(self, rule: PresentationRule) -> str:
        return badge(rule.rarity, rule.frame_color)
