"""Whether a card's thumbnail is current, and the reason why it cannot be, for the admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cards.models import Card
from cards.rarity import rarity_field
from cards.thumbnails.stale import stale_cards
from ops.models import Failure


@dataclass(frozen=True)
class ThumbnailState:
    """``problem`` is why a stale thumbnail cannot be rendered; "" if that was not tried yet."""

    is_stale: bool
    problem: str = ""


def read_thumbnail_state(card: Card) -> ThumbnailState:
    rarity = rarity_field()
    stale: Any = stale_cards(rarity).filter(pk=card.pk).first()
    if stale is None:
        return ThumbnailState(is_stale=False)
    if stale.look_ is None:
        problem = f"there is no presentation rule for its rarity {getattr(stale, rarity)!r}"
        return ThumbnailState(True, problem)
    failed = Failure.objects.filter(run__operation="render_thumbnails", object_id=str(card.pk))
    last = failed.filter(created_at__gte=stale.updated_at).order_by("-run_id").first()
    return ThumbnailState(True, last.error.rstrip(".") if last else "")
