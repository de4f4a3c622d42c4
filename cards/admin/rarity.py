"""The rarities that exist, as a form offers them."""

from __future__ import annotations

from typing import Any

from unfold.widgets import UnfoldAdminSelectWidget

from cards.models import PresentationRule
from ops.command_lines import manage_command


class RaritySelect(UnfoldAdminSelectWidget):  # type: ignore[misc]
    """Those of the rules, and whatever the card has already."""

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> Any:
        known = list_rarities()
        unknown = [each for each in value if each not in ("", *known)]
        empty = [] if self.is_required else [("", "---------")]
        self.choices = [*empty, *((r, r) for r in known), *((r, f"{r} (no rule has it)") for r in unknown)]
        return super().optgroups(name, value, attrs)


def list_rarities() -> list[str]:
    return list(PresentationRule.objects.values_list("rarity", flat=True))


def explain_missing_rule(rarity: str) -> str:
    """What to tell of a rarity that no rule has; "" of one that a rule has."""
    known = list_rarities()
    if rarity in known:
        return ""
    listed = ", ".join(known) or f"none yet ({manage_command('load_rules', '--execute')} loads them)"
    return f"No presentation rule has the rarity “{rarity}”; there are: {listed}."
