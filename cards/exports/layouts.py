"""How the rows of an export's files are read: KYNDO's own, and those of the Node backend it replaces.

A key without a column goes to metadata, and so does the Node backend's ``id``, by which
its audit log names a card.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.db import models

from cards.models import Asset, Card, PresentationRule
from cards.packs.catalogue import CARD_COLUMNS
from cards.packs.errors import BadValue
from cards.packs.layout import METADATA, Layout, Row, one_of
from cards.packs.values import Converter, converter_for, identifier, own_reference, reference, to_json
from ops.models import AuditLog
from ops.sql.adopt import ORIGIN
from ops.sql.compile import fields_named

OWNER = "_owner"
_TIMES = ("created_at", "updated_at")
_NAMES = ("card_id", "pack_id", "rarity", "asset_key")  # composed where they are not KYNDO's already
_EMPTIED = ("description", "imageUrl", "badgeIcon", "generatedBy")
_RULES = ("rarity", "frame_color", "glow_effect", "badge_icon", "sort_order", METADATA)
_ASSETS = (
    "asset_key", "asset_type", "file_path", "file_size", "mime_type", "checksum", METADATA, "generated_by",
)  # fmt: skip
_AUDIT = ("action", "object_type", "object_id", "performed_by", "changes", METADATA, "created_at")


def rule_layout(is_ours: bool) -> Layout:
    return _layout(PresentationRule, "rarity", _RULES, is_ours, needed=("frame_color", "sort_order"))


def card_layout(is_ours: bool, rarities: Collection[str]) -> Layout:
    """Any rarity that has a rule, in rarity and in rarity_v2, whether they are equal or not."""
    known = one_of(rarities, "rarities")
    return _layout(
        Card,
        "card_id",
        CARD_COLUMNS,
        is_ours,
        needed=("title", "pack_id"),
        aliases={"image_url": "image", "thumbnail_path": "thumbnail"},
        converters={"rarity": known, "rarity_v2": known, **_inside(Card, "image", "thumbnail")},
    )


def asset_layout(is_ours: bool) -> Layout:
    return _layout(
        Asset,
        "asset_key",
        (*_ASSETS, "card"),
        is_ours,
        needed=("asset_type", "file_path", "file_size", "mime_type"),
        aliases={"card_id": OWNER},
        converters={**_inside(Asset, "file_path"), "card": _not_here},
        extra={OWNER: reference},
    )


def audit_layout(is_ours: bool) -> Layout:
    return _layout(
        AuditLog,
        "action",
        _AUDIT,
        is_ours,
        needed=("object_type", "object_id", "performed_by", "changes", "created_at"),
        converters={"changes": to_json},
        once=frozenset(),
    )


def _layout(
    model: type[models.Model],
    key: str,
    columns: tuple[str, ...],
    is_ours: bool,
    *,
    needed: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    converters: Mapping[str, Converter] | None = None,
    extra: Mapping[str, Converter] | None = None,
    once: frozenset[str] = frozenset(_TIMES),
) -> Layout:
    names = (*columns, *(name for name in _TIMES if name in once))
    as_they_were = {f.name: converter_for(f, blank=True) for f in fields_named(model, names)}
    if not is_ours:
        as_they_were |= {name: identifier(as_they_were[name]) for name in _NAMES if name in as_they_were}
    return Layout(
        model=model,
        key=key,
        columns=names,
        lists=(),
        needed=needed,
        aliases={**(aliases or {}), **({"id": ORIGIN} if is_ours else {})},
        converters={**as_they_were, **(converters or {})},
        extra={ORIGIN: own_reference if is_ours else reference, **(extra or {})},
        distinct={ORIGIN: "id"},
        origin="" if is_ours else ORIGIN,
        prepare=_own if is_ours else _OF_NODE.get(model, _with_origin),
        once=once,
        displaces=True,
        may_be_empty=True,
    )


def _own(raw: Row) -> Row:
    if raw.get("id") is None:
        raise BadValue("id is missing")
    return raw


def _with_origin(raw: Row) -> Row:
    """A null is a value there, and not one that is not given: what was emptied is emptied here."""
    emptied = {name: "" for name in _EMPTIED if name in raw and raw[name] is None}
    return {**raw, **emptied, ORIGIN: raw.get("id")}


def _audit_of_node(raw: Row) -> Row:
    """It tells of cards only, and names them by their id; of no card where it tells of many."""
    rest = {name: value for name, value in raw.items() if name not in ("cardId", "changes", "performedBy")}
    card = raw.get("cardId")
    return {
        **_with_origin(rest),
        "object_type": "" if card is None else Card._meta.label_lower,
        "object_id": "" if card is None else card,
        "performed_by": "" if raw.get("performedBy") is None else raw["performedBy"],
        "changes": {} if raw.get("changes") is None else raw["changes"],
    }


_OF_NODE: dict[type[models.Model], Callable[[Row], Row]] = {AuditLog: _audit_of_node}


def _inside(model: type[models.Model], *names: str) -> dict[str, Converter]:
    """Converters for paths, none of which may lead out of the folder that it is meant to be in."""
    return {f.name: _path(converter_for(f, blank=True)) for f in fields_named(model, names)}


def _path(text: Converter) -> Converter:
    def convert(value: Any) -> str:
        path: str = text(value)
        if ".." in path.replace("\\", "/").split("/") and "://" not in path:
            raise BadValue(f"{path!r} leads out of its folder")
        return path

    return convert


def _not_here(value: Any) -> None:
    raise BadValue("is given, but an asset names its card as cardId")
