"""The admin of cards, presentation rules and assets."""

from cards.admin import assets, cards, rules

__all__ = ["assets", "cards", "rules"]
