"""The files of the catalogue's export."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, TextField
from django.db.models.functions import Cast

from cards.models import Asset, Card, PresentationRule
from cards.rarity import rarity_field
from ops.export.dataset import Dataset, audit_dataset
from ops.models import AuditLog
from ops.operations.scope import Scope

PART_NAMES = ("presentation_rules", "cards", "assets", "audit_logs")  # in loading order


def catalogue(scope: Scope, audit_last: int | None) -> list[Dataset]:
    """Return the cards in scope, their assets and audit rows, and all rules; without a scope, all rows.

    Raises InvalidScope.
    """
    cards, assets, audit = Card.objects.all(), Asset.objects.all(), AuditLog.objects.all()
    if not scope.is_unrestricted:
        cards = scope.apply(cards)
        assets = assets.filter(Exists(cards.filter(pk=OuterRef("card"))))
        named = cards.annotate(key=Cast("pk", TextField())).filter(key=OuterRef("object_id"))
        audit = audit.filter(Exists(named), object_type=Card._meta.label_lower)
    return [
        Dataset("cards", cards.order_by("pk"), _card_columns()),
        Dataset("presentation_rules", PresentationRule.objects.order_by("pk")),
        Dataset("assets", assets.order_by("pk")),
        audit_dataset(audit, audit_last),
    ]


def _card_columns() -> dict[str, str | None]:
    """Export as rarity what readers show. A card without a rarity_v2 keeps its own, since it needs one."""
    return {} if rarity_field() == "rarity" else {"rarity": "coalesce(rarity_v2, rarity)"}
