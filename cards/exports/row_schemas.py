"""The row schemas of an export's files: KYNDO's own, and those of the Node backend that it replaces.

A key without a column goes to metadata, and so does the Node backend's ``id``, which its audit log uses to
reference a card.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.db import models

from cards.models import Asset, Card, PresentationRule
from cards.packs.catalogue import CARD_COLUMNS
from cards.packs.errors import BadValue
from cards.packs.row_schema import METADATA, Row, RowSchema, choice_converter
from cards.packs.values import Converter, converter_for, nfc_converter, to_json, to_primary_key, to_source_key
from ops.models import AuditLog
from ops.sql.compile import get_model_fields
from ops.sql.remap import ORIGINAL_KEY

OWNER_COLUMN = "_owner"
_TIMESTAMP_FIELDS = ("created_at", "updated_at")
_NORMALIZED_FIELDS = (
    "card_id",
    "pack_id",
    "rarity",
    "asset_key",
)  # normalized to NFC in the Node backend's exports
_NULL_AS_EMPTY_KEYS = ("description", "imageUrl", "badgeIcon", "generatedBy")
_RULE_FIELDS = ("rarity", "frame_color", "glow_effect", "badge_icon", "sort_order", METADATA)
_ASSET_FIELDS = (
    "asset_key", "asset_type", "file_path", "file_size", "mime_type", "checksum", METADATA, "generated_by",
)  # fmt: skip
_AUDIT_LOG_FIELDS = ("action", "object_type", "object_id", "performed_by", "changes", METADATA, "created_at")


def rule_schema(is_ours: bool) -> RowSchema:
    return _row_schema(
        PresentationRule, "rarity", _RULE_FIELDS, is_ours, required=("frame_color", "sort_order")
    )


def card_schema(is_ours: bool, rarities: Collection[str]) -> RowSchema:
    """Accept any rarity that has a rule; rarity and rarity_v2 may differ."""
    rarity = choice_converter(rarities, "rarities")
    return _row_schema(
        Card,
        "card_id",
        CARD_COLUMNS,
        is_ours,
        required=("title", "pack_id"),
        aliases={"image_url": "image", "thumbnail_path": "thumbnail"},
        converters={"rarity": rarity, "rarity_v2": rarity, **_path_converters(Card, "image", "thumbnail")},
    )


def asset_schema(is_ours: bool) -> RowSchema:
    return _row_schema(
        Asset,
        "asset_key",
        (*_ASSET_FIELDS, "card"),
        is_ours,
        required=("asset_type", "file_path", "file_size", "mime_type"),
        aliases={"card_id": OWNER_COLUMN},
        converters={**_path_converters(Asset, "file_path"), "card": _reject_card_id},
        extra_columns={OWNER_COLUMN: to_source_key},
    )


def audit_log_schema(is_ours: bool) -> RowSchema:
    return _row_schema(
        AuditLog,
        "action",
        _AUDIT_LOG_FIELDS,
        is_ours,
        required=("object_type", "object_id", "performed_by", "changes", "created_at"),
        converters={"changes": to_json},
        insert_only=frozenset(),
    )


def _row_schema(
    model: type[models.Model],
    key: str,
    columns: tuple[str, ...],
    is_ours: bool,
    *,
    required: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    converters: Mapping[str, Converter] | None = None,
    extra_columns: Mapping[str, Converter] | None = None,
    insert_only: frozenset[str] = frozenset(_TIMESTAMP_FIELDS),
) -> RowSchema:
    names = (*columns, *(name for name in _TIMESTAMP_FIELDS if name in insert_only))
    field_converters = {f.name: converter_for(f, blank=True) for f in get_model_fields(model, names)}
    if not is_ours:
        field_converters |= {
            name: nfc_converter(field_converters[name])
            for name in _NORMALIZED_FIELDS
            if name in field_converters
        }
    return RowSchema(
        model=model,
        key=key,
        columns=names,
        list_keys=(),
        required=required,
        aliases={**(aliases or {}), **({"id": ORIGINAL_KEY} if is_ours else {})},
        converters={**field_converters, **(converters or {})},
        extra_columns={ORIGINAL_KEY: to_primary_key if is_ours else to_source_key, **(extra_columns or {})},
        unique_columns={ORIGINAL_KEY: "id"},
        origin_column="" if is_ours else ORIGINAL_KEY,
        prepare=_prepare_kyndo_row if is_ours else _NODE_PREPARERS.get(model, _prepare_node_row),
        insert_only=insert_only,
        nests_conflicts=True,
        may_be_empty=True,
    )


def _prepare_kyndo_row(raw: Row) -> Row:
    if raw.get("id") is None:
        raise BadValue("id is missing")
    return raw


def _prepare_node_row(raw: Row) -> Row:
    """Convert null to "" in text columns: in the Node backend's rows null is a value."""
    empty = {name: "" for name in _NULL_AS_EMPTY_KEYS if name in raw and raw[name] is None}
    return {**raw, **empty, ORIGINAL_KEY: raw.get("id")}


def _prepare_node_audit_row(raw: Row) -> Row:
    """Convert a row of the Node backend's audit log, which references at most one card, by its id."""
    rest = {name: value for name, value in raw.items() if name not in ("cardId", "changes", "performedBy")}
    card = raw.get("cardId")
    return {
        **_prepare_node_row(rest),
        "object_type": "" if card is None else Card._meta.label_lower,
        "object_id": "" if card is None else card,
        "performed_by": "" if raw.get("performedBy") is None else raw["performedBy"],
        "changes": {} if raw.get("changes") is None else raw["changes"],
    }


_NODE_PREPARERS: dict[type[models.Model], Callable[[Row], Row]] = {AuditLog: _prepare_node_audit_row}


def _path_converters(model: type[models.Model], *names: str) -> dict[str, Converter]:
    """Return converters of paths that refuse ``..``."""
    return {f.name: _path_converter(converter_for(f, blank=True)) for f in get_model_fields(model, names)}


def _path_converter(text: Converter) -> Converter:
    def convert(value: Any) -> str:
        path: str = text(value)
        if ".." in path.replace("\\", "/").split("/") and "://" not in path:
            raise BadValue(f"{path!r} is outside its folder")
        return path

    return convert


def _reject_card_id(value: Any) -> None:
    raise BadValue("is given, but an asset names its card as cardId")
