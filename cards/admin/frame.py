"""A card's picture in the frame of its rarity, drawn by the browser as the thumbnails draw it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.core.files.storage import default_storage
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from cards.models import Card, PresentationRule
from cards.thumbnails.badges import BADGES
from cards.thumbnails.stale import is_external_url


def format_frame(rule: PresentationRule | None, card: Card | None) -> SafeString:
    """Show the card's illustration under the rule, or a placeholder that says why there is none."""
    url = get_illustration_url(card) if card else ""
    context = {
        "style": get_frame_style(rule) if rule else None,
        "badges": _format_badges(),
        "url": url,
        "title": card.title if card else "",
        "reason": "" if url else _explain_no_picture(card),
    }
    return render_to_string("cards/admin/frame.html", context)


def get_frame_style(rule: PresentationRule) -> dict[str, Any]:
    """Return what the browser draws a rule from, in JSON."""
    return {
        "color": rule.frame_color,
        "glow": rule.glow_effect,
        "badge": rule.badge_icon if rule.badge_icon in BADGES else "",
    }


def get_frame_styles(rules: Iterable[PresentationRule]) -> Mapping[str, Mapping[str, Any]]:
    return {rule.rarity: get_frame_style(rule) for rule in rules}


def get_illustration_url(card: Card) -> str:
    """Return the URL of the illustration in the storage; "" if there is none. Other sites are not asked."""
    return default_storage.url(card.image) if card.image and not is_external_url(card.image) else ""


def _explain_no_picture(card: Card | None) -> str:
    if card is not None and card.image:
        return "The picture is on another site and is not shown here."
    return "No picture yet."


@lru_cache(maxsize=1)
def _format_badges() -> SafeString:
    """Draw every badge, of which the style sheet shows one."""
    return format_html_join("", "{}", ((_format_badge(name),) for name in BADGES))


def _format_badge(name: str) -> SafeString:
    outlines = ((" ".join(f"{x:.3f},{y:.3f}" for x, y in outline),) for outline in BADGES[name])
    polygons = format_html_join("", '<polygon points="{}"/>', outlines)
    return format_html('<svg viewBox="-1 -1 2 2" data-icon="{}">{}</svg>', name, polygons)
