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
from cards.thumbnails.illustration import InvalidImage
from cards.thumbnails.render import MIME_TYPE, SIZE, render_thumbnail
from cards.thumbnails.stale import is_external_url, thumbnail_name
from cards.thumbnails.style import FrameStyle

ASSET_TYPE = "thumbnail"
# The next picture is drawn while a disk, or a bucket far away, takes the last ones.
_STORAGE_THREADS = 4


def generate_thumbnails(cards: Sequence[Any]) -> Mapping[Any, Mapping[str, str] | Exception]:
    """The thumbnail of each card of ``stale_cards()``, or why it has none.

    A file and its asset never change once they are there: the name tells what the file was made from, and its
    checksum. So both are true whether or not the card comes to name them, and harmless when made twice. One
    that was made before, as that of a promotion that is taken back, is used again.
    """
    known, assets, stored = _existing_names(cards), [], []
    answers: dict[Any, Mapping[str, str] | Exception] = {}
    with ThreadPoolExecutor(_STORAGE_THREADS) as pool:
        for card in cards:
            try:
                name = known.get(_name_prefix(card), "")
                if not name and card.image and not is_external_url(card.image):
                    asset, content = _render_asset(card)
                    name = asset.file_path
                    assets.append(asset)
                    stored.append(pool.submit(_store_file, name, content))
                answers[card.pk] = {"thumbnail": name}
            except ValueError as exc:
                answers[card.pk] = exc
    for saving in stored:
        saving.result()
    _save_assets(assets)
    return answers


def _existing_names(cards: Sequence[Any]) -> dict[str, str]:
    """The names of thumbnails of these cards that are there already, by all of the name but the checksum."""
    names = Asset.objects.filter(card__in=[card.pk for card in cards], asset_type=ASSET_TYPE).values_list(
        "file_path", flat=True
    )
    wanted = {_name_prefix(card) for card in cards}
    found = ((name.rpartition("-")[0] + "-", name) for name in names)
    return {beginning: name for beginning, name in found if beginning in wanted and _is_stored(name)}


def _name_prefix(card: Any) -> str:
    """All of the name of its thumbnail but the checksum."""
    return thumbnail_name(card.picture_, card.dress_ or "", "").removesuffix(".webp")


def _is_stored(name: str) -> bool:
    try:
        return default_storage.exists(name)
    except SuspiciousFileOperation:  # whoever edits assets can write any path
        return False


def _render_asset(card: Any) -> tuple[Asset, bytes]:
    """Its asset, not saved yet, and the bytes of the file. Raises ValueError."""
    if card.look_ is None:
        raise InvalidImage(f"there is no presentation rule for its rarity {card.rarity!r}")
    content = render_thumbnail(card.image, FrameStyle.parse(card.look_))
    checksum = hashlib.sha256(content).hexdigest()
    name = thumbnail_name(card.picture_, card.dress_, checksum)
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


def _store_file(name: str, content: bytes) -> None:
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(content))


def _save_assets(assets: list[Asset]) -> None:
    """Save the assets of cards that are still there, but for those that a twin has saved."""
    there = set(Card.objects.filter(pk__in=[asset.card_id for asset in assets]).values_list("pk", flat=True))
    Asset.objects.bulk_create([a for a in assets if a.card_id in there], ignore_conflicts=True)
