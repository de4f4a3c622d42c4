"""The choice of a rarity in forms: the rarities that have a presentation rule."""

from __future__ import annotations

from typing import Any

from unfold.widgets import UnfoldAdminSelectWidget

from cards.admin.badge import format_rarity_badge
from cards.models import PresentationRule
from ops.admin.values.value_diff import Badge
from ops.command_lines import manage_command


class RaritySelect(UnfoldAdminSelectWidget):  # type: ignore[misc]
    """Offers the rarities of the rules, and the card's own."""

    def __init__(self, rarities: list[str]) -> None:
        super().__init__()
        self.rarities = rarities

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> Any:
        without_rule = [rarity for rarity in value if rarity not in ("", *self.rarities)]
        empty = [] if self.is_required else [("", "---------")]
        self.choices = [
            *empty,
            *((rarity, rarity) for rarity in self.rarities),
            *((rarity, f"{rarity} (has no rule)") for rarity in without_rule),
        ]
        return super().optgroups(name, value, attrs)


def get_rarity_badge() -> Badge:
    """Return what formats a rarity as its badge; the rules are read once."""
    colors = dict(PresentationRule.objects.values_list("rarity", "frame_color"))
    return lambda rarity: format_rarity_badge(rarity, colors.get(rarity))


def list_rarities() -> list[str]:
    return list(PresentationRule.objects.values_list("rarity", flat=True))


def explain_missing_rule(rarity: str) -> str:
    """Return the message for a rarity without a presentation rule; "" if it has one."""
    rarities = list_rarities()
    if rarity in rarities:
        return ""
    if not rarities:
        command = manage_command("load_rules", "--execute")
        return f"The rarity “{rarity}” has no presentation rule. There are no rules yet: type {command}."
    return f"The rarity “{rarity}” has no presentation rule. Rarities with a rule: {', '.join(rarities)}."
