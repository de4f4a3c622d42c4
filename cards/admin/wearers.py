"""How many cards wear a rarity: exact for a small catalogue, an estimate that says so for a large one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse
from django.utils.http import urlencode

from cards.admin.frame import get_illustration_url
from cards.models import Card
from cards.rarity import rarity_field
from ops.formatting import pluralize
from ops.sql.counts import ValueCounts, estimate_value_counts

# A sample of a rule is looked for among so many of the newest cards.
_SAMPLE_SIZE = 300
_MAX_WITHOUT_RULE = 20


@dataclass(frozen=True)
class Wearers:
    """The cards of each rarity. A rarity that an estimate does not name has few cards, or none."""

    counts: ValueCounts

    @classmethod
    def estimate(cls) -> Wearers:
        return cls(estimate_value_counts(Card, rarity_field()))

    def describe(self, rarity: str) -> str:
        """Return ``about 50,000 cards``."""
        count = self.counts.counts.get(rarity, 0)
        if self.counts.is_exact:
            return pluralize(count, "card")
        return f"{format_count(count, is_exact=False)} cards" if count else "few cards or none"

    def list_without_rule(self, rarities: Iterable[str]) -> list[str]:
        """Return the rarities that cards wear and that are not among these, the most worn first."""
        others = {rarity: count for rarity, count in self.counts.counts.items() if rarity and count}
        for rarity in rarities:
            others.pop(rarity, None)
        return sorted(others, key=lambda rarity: (-others[rarity], rarity))[:_MAX_WITHOUT_RULE]


def is_worn(rarity: str) -> bool:
    return Card.objects.filter(**{rarity_field(): rarity}).exists()


def get_wearers_url(rarity: str) -> str:
    """Return the URL of the list of the cards that wear the rarity."""
    return f"{reverse('admin:cards_card_changelist')}?{urlencode({f'{rarity_field()}__exact': rarity})}"


def read_samples() -> list[Card]:
    """Read the newest cards, or the first of the catalogue, that have a picture in the storage."""
    names = ("pk", "title", "image", "rarity", "rarity_v2")
    for order in ("-pk", "pk"):
        cards = [
            card
            for card in Card.objects.only(*names).order_by(order)[:_SAMPLE_SIZE]
            if get_illustration_url(card)
        ]
        if cards:
            return cards
    return []


def choose_sample(samples: list[Card], rarity: str) -> Card | None:
    """Choose a card of the rarity, or any other."""
    field = rarity_field()
    return next((card for card in samples if getattr(card, field) == rarity), samples[0] if samples else None)


def format_count(count: int, is_exact: bool) -> str:
    """Format an estimate with the two digits that it deserves: ``about 550,000``."""
    if is_exact:
        return f"{count:,}"
    return f"about {round(count, 2 - len(str(count))):,}"
