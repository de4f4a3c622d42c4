"""Thumbnails made of stale cards, stored, and entered among the assets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from cards.models import Asset, Card
from cards.thumbnails.illustration import BadPicture
from cards.thumbnails.look import Look
from cards.thumbnails.render import MIME_TYPE, SIZE, render
from cards.thumbnails.stale import is_elsewhere, name_of

ASSET_TYPE = "thumbnail"
# The next picture is drawn while a disk, or a bucket far away, takes the last ones.
_STORING = 4


def make(cards: Sequence[Any]) -> Mapping[Any, Mapping[str, str] | Exception]:
    """The thumbnail of each card of ``stale_cards()``, or why it has none.

    A file and its asset never change once they are there: the name tells what the file was made from, and its
    checksum. So both are true whether or not the card comes to name them, and harmless when made twice. One
    that was made before, as that of a promotion that is taken back, is used again.
    """
    known, assets, stored = _made_before(cards), [], []
    answers: dict[Any, Mapping[str, str] | Exception] = {}
    with ThreadPoolExecutor(_STORING) as pool:
        for card in cards:
            try:
                name = known.get(_beginning(card), "")
                if not name and card.image and not is_elsewhere(card.image):
                    asset, content = _made(card)
                    name = asset.file_path
                    assets.append(asset)
                    stored.append(pool.submit(_store, name, content))
                answers[card.pk] = {"thumbnail": name}
            except ValueError as exc:
                answers[card.pk] = exc
    for saving in stored:
        saving.result()
    _enter(assets)
    return answers


def _made_before(cards: Sequence[Any]) -> dict[str, str]:
    """The names of thumbnails of these cards that are there already, by all of the name but the checksum."""
    names = Asset.objects.filter(card__in=[card.pk for card in cards], asset_type=ASSET_TYPE).values_list(
        "file_path", flat=True
    )
    wanted = {_beginning(card) for card in cards}
    found = ((name.rpartition("-")[0] + "-", name) for name in names)
    return {beginning: name for beginning, name in found if beginning in wanted and _is_stored(name)}


def _beginning(card: Any) -> str:
    """All of the name of its thumbnail but the checksum."""
    return name_of(card.picture_, card.dress_ or "", "").removesuffix(".webp")


def _is_stored(name: str) -> bool:
    try:
        return default_storage.exists(name)
    except SuspiciousFileOperation:  # whoever edits assets can write any path
        return False


def _made(card: Any) -> tuple[Asset, bytes]:
    """Its asset, not saved yet, and the bytes of the file. Raises ValueError."""
    if card.look_ is None:
        raise BadPicture(f"there is no presentation rule for its rarity {card.rarity!r}")
    content = render(card.image, Look.parse(card.look_))
    checksum = hashlib.sha256(content).hexdigest()
    name = name_of(card.picture_, card.dress_, checksum)
    asset = Asset(
        asset_key=name,
        asset_type=ASSET_TYPE,
        file_path=name,
        file_size=len(content),
        mime_type=MIME_TYPE,
        checksum=checksum,
        metadata={"width": SIZE[0], "height": SIZE[1]},
        generated_by="render_thumbnails",
        card=card,
    )
    return asset, content


def _store(name: str, content: bytes) -> None:
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(content))


def _enter(assets: list[Asset]) -> None:
    """Save the assets of cards that are still there, but for those that a twin has saved."""
    there = set(Card.objects.filter(pk__in=[asset.card_id for asset in assets]).values_list("pk", flat=True))
    Asset.objects.bulk_create([a for a in assets if a.card_id in there], ignore_conflicts=True)
