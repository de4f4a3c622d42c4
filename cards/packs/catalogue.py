"""The row schemas of the two kinds of packs: cards and presentation rules."""

from __future__ import annotations

import re
from typing import Any

from cards.models import Card, PresentationRule
from cards.packs.errors import BadValue, InvalidPack
from cards.packs.exported import drop_generated_columns, is_exported_row
from cards.packs.illustrations import Illustrations
from cards.packs.row_schema import Row, RowSchema, choice_converter
from cards.packs.values import converter_for, nfc_converter, normalize_nfc
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import quote_truncated

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


class NoPresentationRules(OpsError):
    """There are no presentation rules, so no rarity is valid."""


def card_schema(illustrations: Illustrations, *, without_rarity_v2: bool = False) -> RowSchema:
    """Return the schema of cards. Raises NoPresentationRules."""
    rarity = choice_converter(_known_rarities(), "rarities")

    def postprocess(row: Row, raw: Row) -> None:
        _reconcile_rarities(row, without_rarity_v2, may_differ=is_exported_row(raw))
        if image := row.get("image"):
            row["image"] = illustrations.resolve(image, row.get("pack_id"))

    return RowSchema(
        model=Card,
        key="card_id",
        columns=CARD_COLUMNS,
        list_keys=("cards", "assets"),
        required=("title", "pack_id"),
        aliases={"image_url": "image", "thumbnail_url": "thumbnail"},
        fallbacks={"id": "card_id"},
        converters={
            "card_id": _clean_card_id,
            "pack_id": clean_pack_id,
            "rarity": rarity,
            "rarity_v2": rarity,
        },
        defaults=_pack_defaults,
        prepare=drop_generated_columns,
        postprocess=postprocess,
    )


def rule_schema() -> RowSchema:
    """Return the schema of presentation rules."""
    return RowSchema(
        model=PresentationRule,
        key="rarity",
        columns=("rarity", "frame_color", "glow_effect", "badge_icon", "sort_order", "metadata"),
        list_keys=("rules", "presentationRules", "presentation_rules"),
        required=("frame_color", "sort_order"),
        converters={"rarity": nfc_converter(converter_for(PresentationRule._meta.get_field("rarity")))},
        prepare=drop_generated_columns,
    )


def _pack_defaults(top: Row) -> Row:
    """Return the pack id at the top of the pack, for cards that give none."""
    value = top.get("packId", top.get("pack_id"))
    if value is None:
        return {}
    try:
        return {"pack_id": clean_pack_id(value)}
    except BadValue as exc:
        raise InvalidPack(f"packId {exc}.") from exc


def _known_rarities() -> list[str]:
    rarities = list(PresentationRule.objects.order_by("sort_order").values_list("rarity", flat=True))
    if not rarities:
        raise NoPresentationRules(
            f"There are no presentation rules. Load them first: {manage_command('load_rules', '--execute')}"
        )
    return rarities


def _reconcile_rarities(row: Row, without_rarity_v2: bool, *, may_differ: bool) -> None:
    """Require equal rarities of a card in a pack; an exported card may have two."""
    if without_rarity_v2:
        row.pop("rarity_v2", None)
    elif may_differ:
        return
    elif "rarity_v2" in row and row.setdefault("rarity", row["rarity_v2"]) != row["rarity_v2"]:
        raise BadValue(f"rarity is {row['rarity']!r}, rarityV2 is {row['rarity_v2']!r}: they must be equal")


_WHITESPACE = re.compile(r"\s")
_convert_card_id = converter_for(Card._meta.get_field("card_id"))
_convert_pack_id = converter_for(Card._meta.get_field("pack_id"))


def clean_pack_id(value: Any) -> str:
    """Validate a pack id and return it NFC-normalized; raises BadValue."""
    return _require_printable(normalize_nfc(_convert_pack_id(value)))


def _clean_card_id(value: Any) -> str:
    slug = normalize_nfc(_convert_card_id(value))
    if _WHITESPACE.search(slug):
        raise BadValue(f"{quote_truncated(slug)} contains a space")
    return _require_printable(slug)


def _require_printable(identifier: str) -> str:
    """Return the id; raises BadValue for invisible characters, with which two ids could look alike."""
    if not identifier.isprintable():
        hidden = next(char for char in identifier if not char.isprintable())
        raise BadValue(f"contains the invisible character {hidden!a}")
    return identifier
