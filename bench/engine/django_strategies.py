"""Usual Django code for the same work: generators of the number of rows changed by each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from cards.models import Card
from ops.models import AuditLog

_BATCH_SIZE = 1_000


def _build_audit_row(card: Card) -> AuditLog:
    return AuditLog(
        run_id=1,
        action="backfill_rarity_v2",
        object_type="cards.card",
        object_id=str(card.pk),
        performed_by="benchmark",
        changes={"rarity_v2": {"old": None, "new": card.rarity}},
    )


def _update_queryset(cards: list[Card]) -> None:
    pks = [card.pk for card in cards]
    Card.objects.filter(pk__in=pks).update(rarity_v2=F("rarity"), updated_at=timezone.now())
    AuditLog.objects.bulk_create([_build_audit_row(card) for card in cards])


def _bulk_update(cards: list[Card]) -> None:
    for card in cards:
        card.rarity_v2, card.updated_at = card.rarity, timezone.now()
    Card.objects.bulk_update(cards, ["rarity_v2", "updated_at"])
    AuditLog.objects.bulk_create([_build_audit_row(card) for card in cards])


def _save_each(cards: list[Card]) -> None:
    for card in cards:
        with transaction.atomic():
            card.rarity_v2 = card.rarity
            card.save()
            _build_audit_row(card).save()


def _iter_batches(change: Callable[[list[Card]], None], locked: bool) -> Iterator[int]:
    """Change the cards in key order; a locked batch is one transaction."""
    last = 0
    while True:
        rows: Any = Card.objects.filter(rarity_v2__isnull=True, pk__gt=last).order_by("pk")
        if not locked:
            cards = list(rows[:_BATCH_SIZE])
            change(cards)
        else:
            with transaction.atomic():
                cards = list(rows.select_for_update()[:_BATCH_SIZE])
                change(cards)
        if not cards:
            return
        last = cards[-1].pk
        yield len(cards)


DJANGO_STRATEGIES: dict[str, Callable[[], Iterator[int]]] = {
    "django_set": lambda: _iter_batches(_update_queryset, locked=True),
    "django_bulk": lambda: _iter_batches(_bulk_update, locked=True),
    "django_save": lambda: _iter_batches(_save_each, locked=False),
}
