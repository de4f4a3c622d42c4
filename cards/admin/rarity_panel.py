"""The dashboard's panel of the cards by rarity, as bars."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from cards.admin.wearers import format_count
from cards.models import Card, PresentationRule
from cards.rarity import rarity_field
from ops.admin.dashboard.dashboard import Panel, register_panel
from ops.sql.counts import estimate_value_counts

_MAX_RARITIES = 12
# For a rarity without a rule.
_DEFAULT_COLOR = "#9CA3AF"


def read_rarities(request: HttpRequest) -> dict[str, Any]:
    """Count the cards of each rarity, in the order of the rules; those without a rule come last."""
    field = rarity_field()
    found = estimate_value_counts(Card, field)
    colors = dict(PresentationRule.objects.values_list("rarity", "frame_color"))
    rarities = [rarity for rarity in found.counts if rarity not in colors]
    ranked = [*colors, *sorted(rarities, key=lambda rarity: -found.counts[rarity])]
    most, total = max(found.counts.values(), default=0), sum(found.counts.values())
    return {
        "rows": [
            {
                "rarity": rarity or "none",
                "url": _build_url(field, rarity),
                "color": colors.get(rarity, _DEFAULT_COLOR),
                "count": format_count(count, found.is_exact) if count or found.is_exact else "few or none",
                "width": round(100 * count / most, 1) if most else 0,
                "share": f"{100 * count / total:.1f} %" if count else "",
                "has_rule": rarity in colors,
            }
            for rarity in ranked[:_MAX_RARITIES]
            for count in [found.counts.get(rarity, 0)]
        ],
        "is_exact": found.is_exact,
        "total": format_count(total, found.is_exact),
    }


def _build_url(field: str, rarity: str | None) -> str:
    query = {f"{field}__isnull": "True"} if rarity is None else {f"{field}__exact": rarity}
    return f"{reverse('admin:cards_card_changelist')}?{urlencode(query)}"


register_panel(
    Panel(
        "rarities",
        "Cards by rarity",
        "cards/admin/rarity_panel.html",
        "cards.view_card",
        read_rarities,
        position=30,
        link=("All cards", "admin:cards_card_changelist"),
        columns=2,
        interval=60,
    )
)
