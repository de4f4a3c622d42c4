"""Operations on the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from django import forms
from django.db.models import QuerySet

from cards.models import Card, PresentationRule
from cards.rarity import rarity_field, rarity_field_at
from cards.thumbnails.badges import BADGES
from cards.thumbnails.stale import DRAWING_VERSION, stale_cards
from ops.column_changes import ColumnChange, register_change
from ops.column_changes.backfill import build_checks
from ops.command_lines import manage_command
from ops.models import Run
from ops.operations import Check, Operation, register


@register_change
class RarityV2(ColumnChange):
    """Widen rarity from 32 to 64 characters."""

    name = "rarity_v2"
    model = Card
    old = "rarity"
    new = "rarity_v2"
    group_by = "rarity"
    display_field = "card_id"


def rarity_choices() -> list[tuple[str, str]]:
    names = PresentationRule.objects.values_list("rarity", flat=True)
    return [("", "Choose …"), *((name, name) for name in names)]


class PromotionParams(forms.Form):
    from_rarity = forms.CharField(
        widget=forms.Select(choices=rarity_choices),  # type: ignore[arg-type]
        help_text="Rarity of the cards to promote, for example common. It needs a presentation rule.",
    )
    to_rarity = forms.CharField(
        widget=forms.Select(choices=rarity_choices),  # type: ignore[arg-type]
        help_text="New rarity, higher in the order of the rules, for example rare.",
    )
    allow_demotion = forms.BooleanField(
        required=False, help_text="Allow a lower rarity, which demotes the cards."
    )

    def _clean_rarity(self, name: str) -> str:
        rarity: str = self.cleaned_data[name]
        rarities = list(PresentationRule.objects.values_list("rarity", flat=True))
        if rarity not in rarities:
            names = (
                ", ".join(rarities) or f"none yet ({manage_command('load_rules', '--execute')} loads them)"
            )
            raise forms.ValidationError(f"unknown rarity {rarity!r}; the known ones: {names}.")
        return rarity

    def clean_from_rarity(self) -> str:
        return self._clean_rarity("from_rarity")

    def clean_to_rarity(self) -> str:
        return self._clean_rarity("to_rarity")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        origin, target = data.get("from_rarity"), data.get("to_rarity")
        if not origin or not target:
            return data
        if origin == target:
            self.add_error("to_rarity", f"the cards already have the rarity {origin!r}.")
            return data
        order = dict(PresentationRule.objects.values_list("rarity", "sort_order"))
        if order[target] < order[origin] and not data["allow_demotion"]:
            message = f"this is a demotion ({origin} to {target}). To allow it, set this option."
            self.add_error("allow_demotion", message)
        return data


@register
class BulkPromote(Operation):
    """Promote every card of one rarity to another."""

    name = "bulk_promote"
    model = Card
    Params = PromotionParams
    example = {"from_rarity": "common", "to_rarity": "rare"}
    group_by = "pack_id"
    display_field = "card_id"

    @classmethod
    def get_initial_params(cls, filters: Mapping[str, str]) -> Mapping[str, Any]:
        rarity = filters.get(rarity_field())
        return {} if rarity is None else {"from_rarity": rarity}

    def get_queryset(self) -> QuerySet[Card]:
        return Card.objects.filter(**{self.rarity_field: self.params["from_rarity"]})

    @cached_property
    def rarity_field(self) -> str:
        return rarity_field_at(self.as_of)

    def get_changes(self) -> Mapping[str, Any]:
        # Sets both itself, not by the trigger, so that both are audited and reverted.
        return {"rarity": self.params["to_rarity"], "rarity_v2": self.params["to_rarity"]}

    def get_checks(self) -> Iterable[Check]:
        return build_checks(RarityV2)[1:]


@register
class RenderThumbnails(Operation):
    """Render the thumbnail of every card whose picture or rarity has changed since it was rendered."""

    name = "render_thumbnails"
    model = Card
    columns = ("thumbnail",)
    depends_on = ("image", "rarity", "rarity_v2")
    estimated_rate = 40.0
    group_by = "rarity"
    display_field = "card_id"
    version = DRAWING_VERSION

    def get_queryset(self) -> QuerySet[Card]:
        return stale_cards(self.rarity_field)

    @cached_property
    def rarity_field(self) -> str:
        return rarity_field_at(self.as_of)

    def get_notes(self, run: Run | None) -> Iterable[str]:
        for rule in PresentationRule.objects.exclude(badge_icon__in=["", *BADGES]):
            badges = ", ".join(BADGES)
            yield f"{rule.rarity} is drawn without a badge: {rule.badge_icon!r} is not one of {badges}"

    def process(self, rows: Sequence[Any]) -> Mapping[Any, Mapping[str, Any] | Exception]:
        from cards.thumbnails.generate import (
            generate_thumbnails,  # Pillow takes a twentieth of a second to import
        )

        return generate_thumbnails(rows, self.rarity_field)
