"""Why a card has no thumbnail of its picture and rarity, where it has none."""

from __future__ import annotations

from typing import Any

from cards.models import Card
from cards.thumbnails.stale import stale_cards
from ops.models import Failure


def thumbnail_problem(card: Card) -> str:
    """Of one card; "" where its thumbnail is as it should be, or is still to be rendered."""
    stale: Any = stale_cards().filter(pk=card.pk).first()
    if stale is None:
        return ""
    if stale.look_ is None:
        return f"there is no presentation rule for its rarity {stale.rarity!r}"
    failed = Failure.objects.filter(run__operation="render_thumbnails", object_id=str(card.pk))
    last = failed.filter(created_at__gte=stale.updated_at).order_by("-run_id").first()
    return last.error if last else ""
