"""The two kinds of packs that the catalogue loads: cards, and presentation rules."""

from __future__ import annotations

import re
from typing import Any

from cards.models import Card, PresentationRule
from cards.packs.errors import BadValue, RefusedPack
from cards.packs.illustrations import Illustrations
from cards.packs.layout import Layout, Row, one_of
from cards.packs.values import composed, converter_for, identifier
from ops.exceptions import OpsError
from ops.typed import manage
from ops.words import quoted

CARD_COLUMNS = (
    "card_id",
    "title",
    "description",
    "image",
    "thumbnail",
    "rarity",
    "rarity_v2",
    "pack_id",
    "tags",
    "metadata",
)


class NoRarities(OpsError):
    """There is no presentation rule, so that no card could have a rarity."""


def card_layout(illustrations: Illustrations, *, without_rarity_v2: bool = False) -> Layout:
    rarity = one_of(_rarities(), "rarities")

    def finish(row: Row, raw: Row) -> None:
        _pair_rarities(row, without_rarity_v2, may_differ=_is_exported(raw))
        if image := row.get("image"):
            row["image"] = illustrations.place(image, row.get("pack_id"))

    return Layout(
        model=Card,
        key="card_id",
        columns=CARD_COLUMNS,
        lists=("cards", "assets"),
        needed=("title", "pack_id"),
        aliases={"image_url": "image", "thumbnail_url": "thumbnail"},
        fallbacks={"id": "card_id"},
        converters={"card_id": _card_id, "pack_id": pack_id, "rarity": rarity, "rarity_v2": rarity},
        defaults=_defaults,
        prepare=_without_what_is_the_databases,
        finish=finish,
    )


def rule_layout() -> Layout:
    return Layout(
        model=PresentationRule,
        key="rarity",
        columns=("rarity", "frame_color", "glow_effect", "badge_icon", "sort_order", "metadata"),
        lists=("rules", "presentationRules", "presentation_rules"),
        needed=("frame_color", "sort_order"),
        converters={"rarity": identifier(converter_for(PresentationRule._meta.get_field("rarity")))},
        prepare=_without_what_is_the_databases,
    )


def _defaults(top: Row) -> Row:
    """The pack of the cards that do not name theirs."""
    value = top.get("packId", top.get("pack_id"))
    if value is None:
        return {}
    try:
        return {"pack_id": pack_id(value)}
    except BadValue as exc:
        raise RefusedPack(f"packId {exc}.") from exc


def _rarities() -> list[str]:
    known = list(PresentationRule.objects.order_by("sort_order").values_list("rarity", flat=True))
    if not known:
        raise NoRarities(
            f"There are no presentation rules yet. Load them first: {manage('load_rules', '--execute')}"
        )
    return known


# What export_json writes of every row, and no pack has.
_EXPORTED = ("id", "created_at", "updated_at")


def _is_exported(raw: Row) -> bool:
    """Whether it is a row of KYNDO's own export, which is keyed by the table's columns."""
    return type(raw.get("id")) is int and raw.keys() >= {*_EXPORTED, "rarity", "metadata"}


def _without_what_is_the_databases(raw: Row) -> Row:
    if not _is_exported(raw):
        return raw
    return {name: value for name, value in raw.items() if name not in _EXPORTED}


def _pair_rarities(row: Row, without_rarity_v2: bool, *, may_differ: bool) -> None:
    """A card cannot have one rarity for the old code and another for the new, unless it was exported so."""
    if without_rarity_v2:
        row.pop("rarity_v2", None)
    elif may_differ:
        return
    elif "rarity_v2" in row and row.setdefault("rarity", row["rarity_v2"]) != row["rarity_v2"]:
        raise BadValue(f"rarity is {row['rarity']!r}, rarityV2 is {row['rarity_v2']!r}: they must be equal")


_SPACE = re.compile(r"\s")
_text = converter_for(Card._meta.get_field("card_id"))
_pack_text = converter_for(Card._meta.get_field("pack_id"))


def pack_id(value: Any) -> str:
    """Raises ``BadValue``."""
    return _visible(composed(_pack_text(value)))


def _card_id(value: Any) -> str:
    slug = composed(_text(value))
    if _SPACE.search(slug):
        raise BadValue(f"{quoted(slug)} holds a space")
    return _visible(slug)


def _visible(identifier: str) -> str:
    """An id of which every character can be seen, so that no two look alike and none steers a terminal."""
    if not identifier.isprintable():
        hidden = next(char for char in identifier if not char.isprintable())
        raise BadValue(f"holds the character {hidden!a}, which nobody sees")
    return identifier
