"""Generation of the thumbnails of stale cards: rendered, stored, and recorded as assets."""

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
# Uploads of finished thumbnails overlap with the rendering of the next one.
_STORAGE_THREADS = 4


def generate_thumbnails(cards: Sequence[Any], rarity: str) -> Mapping[Any, Mapping[str, str] | Exception]:
    """Return, by primary key, the new values of each card of ``stale_cards(rarity)``, or its error.

    Files and assets are immutable: the name contains digests of the input and the checksum of the file. So
    they stay valid if the card's update fails, and writing them twice is harmless. An existing one, such
    as the old one after the revert of a promotion, is reused.
    """
    existing, assets, stored = _existing_names(cards), [], []
    answers: dict[Any, Mapping[str, str] | Exception] = {}
    with ThreadPoolExecutor(_STORAGE_THREADS) as pool:
        for card in cards:
            try:
                name = existing.get(_name_prefix(card), "")
                if not name and card.image and not is_external_url(card.image):
                    asset, content = _render_asset(card, rarity)
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
    """Return the names of the cards' existing thumbnails, keyed by the name without the checksum."""
    names = Asset.objects.filter(card__in=[card.pk for card in cards], asset_type=ASSET_TYPE).values_list(
        "file_path", flat=True
    )
    prefixes = {_name_prefix(card) for card in cards}
    pairs = ((name.rpartition("-")[0] + "-", name) for name in names)
    return {beginning: name for beginning, name in pairs if beginning in prefixes and _is_stored(name)}


def _name_prefix(card: Any) -> str:
    """Return the name of its thumbnail without the checksum."""
    return thumbnail_name(card.picture_, card.dress_ or "", "").removesuffix(".webp")


def _is_stored(name: str) -> bool:
    try:
        return default_storage.exists(name)
    except SuspiciousFileOperation:  # assets may be edited, so that a path may be anything
        return False


def _render_asset(card: Any, rarity: str) -> tuple[Asset, bytes]:
    """Return its unsaved asset, and the bytes of the file. Raises InvalidImage."""
    if card.look_ is None:
        raise InvalidImage(f"there is no presentation rule for its rarity {getattr(card, rarity)!r}")
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
    """Save the assets of cards that still exist; another process may have saved some of them."""
    present = set(
        Card.objects.filter(pk__in=[asset.card_id for asset in assets]).values_list("pk", flat=True)
    )
    Asset.objects.bulk_create([a for a in assets if a.card_id in present], ignore_conflicts=True)
