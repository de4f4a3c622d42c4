"""The reason why a card has no current thumbnail, for the admin."""

from __future__ import annotations

from typing import Any

from cards.models import Card
from cards.rarity import rarity_field
from cards.thumbnails.stale import stale_cards
from ops.models import Failure


def thumbnail_problem(card: Card) -> str:
    """Return the reason; "" if the thumbnail is current or not yet rendered."""
    rarity = rarity_field()
    stale: Any = stale_cards(rarity).filter(pk=card.pk).first()
    if stale is None:
        return ""
    if stale.look_ is None:
        return f"there is no presentation rule for its rarity {getattr(stale, rarity)!r}"
    failed = Failure.objects.filter(run__operation="render_thumbnails", object_id=str(card.pk))
    last = failed.filter(created_at__gte=stale.updated_at).order_by("-run_id").first()
    return last.error if last else ""
