"""The admin of cards, presentation rules and assets."""

from cards.admin import assets, cards, rarity_panel, rules

__all__ = ["assets", "cards", "rarity_panel", "rules"]
