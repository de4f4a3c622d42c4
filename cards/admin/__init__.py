"""The catalogue in the admin."""

from cards.admin import assets, cards, rules

__all__ = ["assets", "cards", "rules"]
