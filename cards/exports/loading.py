"""An export on its way into the catalogue: staged, checked, then previewed or loaded, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from django.db import models, transaction

from cards.exports import row_schemas
from cards.models import Asset, Card, PresentationRule
from cards.packs.errors import MAX_REPORTED_ROWS, BadRows, InvalidPack
from cards.packs.loading import EXPLICIT_RARITY_V2, check_rows, fill_staging, raise_for_bad_rows, stage_rows
from cards.packs.row_schema import RowSchema
from cards.thumbnails.stale import request_stale_rendering
from cards.triggers import ignore_rarity_triggers
from ops import bulk_load
from ops.bulk_load import LoadCounts, LoadPreview
from ops.db import read_only_snapshot
from ops.exceptions import InvalidContent
from ops.export.reader import ExportFile
from ops.export.summary import ExportFolder
from ops.formatting import escape_control_chars, quote_truncated
from ops.models import AuditLog
from ops.report.status import StatusCallback
from ops.sql.changes import AuditContext
from ops.sql.remap import (
    ORIGINAL_KEY,
    AuditImport,
    find_dangling_references,
    reset_sequences,
    resolve_foreign_keys,
)
from ops.sql.staging import StagingTable
from ops.sql.upsert import Upsert

MODELS: tuple[type[models.Model], ...] = (PresentationRule, Card, Asset, AuditLog)
_BUSY_MESSAGE = (
    "Nothing was loaded: other sessions have locked rows that the export needs. Try again when they are done."
)


@dataclass(frozen=True)
class StagedExport:
    """The rows of an export in temporary tables."""

    export: ExportFolder
    rules: Upsert
    cards: Upsert
    assets: Upsert
    audit: StagingTable

    @property
    def upserts(self) -> dict[str, Upsert]:
        """By the name of the part, in the order in which they are loaded."""
        return {"presentation_rules": self.rules, "cards": self.cards, "assets": self.assets}

    @property
    def audit_import(self) -> AuditImport:
        # The keys of the Node backend are no numbers: nothing here can have them.
        return AuditImport(
            self.audit, list(self.upserts.values()), "elsewhere:" if self.export.is_ours else ""
        )

    def link_assets(self) -> None:
        resolve_foreign_keys(self.assets.staging, "card", row_schemas.OWNER_COLUMN, self.cards)


@contextmanager
def stage_export(export: ExportFolder, say: StatusCallback) -> Iterator[StagedExport]:
    """All rows of an export; raises ``RefusedPack`` if one of them is bad, or a file is not as it was."""
    with ExitStack() as stack:

        def enter(part: str, layout: RowSchema) -> Upsert:
            with _file_error_context(export.files[part]):
                return stack.enter_context(stage_rows(export.files[part], layout, say))

        rules = enter("presentation_rules", row_schemas.rule_schema(export.is_ours))
        cards = enter("cards", row_schemas.card_schema(export.is_ours, _known_rarities(rules)))
        assets = enter("assets", row_schemas.asset_schema(export.is_ours))
        with _file_error_context(export.files["assets"]):
            _check_asset_cards(export.files["assets"], assets, cards)
        log = export.files["audit_logs"]
        with _file_error_context(log):
            layout = row_schemas.audit_log_schema(export.is_ours)
            audit, bad = stack.enter_context(fill_staging(log, layout, say))
            check_rows(audit, log, layout, bad, key=None)
        found = StagedExport(export, rules, cards, assets, audit)
        found.link_assets()
        yield found


def is_catalogue_empty() -> bool:
    """Whether the database holds nothing that an export could disagree with."""
    return not any(model._default_manager.exists() for model in MODELS)


def preview_export(found: StagedExport) -> tuple[bool, dict[str, LoadPreview]]:
    """Whether the rows would be taken over as they are, and what would become of those of each part."""
    seen = {part: bulk_load.preview(merge, samples=3) for part, merge in found.upserts.items()}
    with bulk_load.translate_data_errors(), read_only_snapshot():
        added = found.audit_import.count()
        seen["audit_logs"] = LoadPreview(_audit_log_counts(found, added), [], [])
        return is_catalogue_empty(), seen


def load_export(found: StagedExport, performed_by: str) -> tuple[bool, dict[str, LoadCounts]]:
    """As ``preview``, done. Raises Busy and Refused, with nothing changed."""

    def work() -> tuple[bool, dict[str, LoadCounts]]:
        for merge in found.upserts.values():
            bulk_load.acquire_load_lock(merge)
        empty = is_catalogue_empty()
        counts = _copy_into_empty(found) if empty else _merge_into_existing(found, performed_by)
        bulk_load.check_constraints()
        return empty, counts

    return bulk_load.retry_on_lock(work, _BUSY_MESSAGE)


def _copy_into_empty(found: StagedExport) -> dict[str, LoadCounts]:
    """Into an empty database: every row as it was, its times and, where they can be kept, its keys."""
    origin = ORIGINAL_KEY if found.export.is_ours else None
    counts = {}
    with ignore_rarity_triggers(), transaction.atomic():
        for part, merge in found.upserts.items():
            if merge is found.assets:
                found.link_assets()
            counts[part] = LoadCounts(merge.insert_all(origin), 0, 0)
        audit = Upsert(found.audit, "action").insert_all(origin) if origin else found.audit_import.insert()
        counts["audit_logs"] = LoadCounts(audit, 0, 0)
    reset_sequences(MODELS)
    return counts


def _merge_into_existing(found: StagedExport, performed_by: str) -> dict[str, LoadCounts]:
    """Into a catalogue that is in use: as a pack is loaded, with audit rows of its own."""
    counts = {}
    for part, merge in found.upserts.items():
        if merge is found.assets:
            found.link_assets()
        file = found.export.files[part]
        signature = AuditContext(
            "import_json",
            performed_by,
            {"file": escape_control_chars(file.path.name), "sha256": file.sha256},
        )
        settled = EXPLICIT_RARITY_V2 if merge is found.cards else None
        counts[part] = bulk_load.upsert_in_transaction(
            merge, signature, insert_context=ignore_rarity_triggers, update_context=settled
        )
    counts["audit_logs"] = _audit_log_counts(found, found.audit_import.insert())
    request_stale_rendering(performed_by)
    return counts


def _audit_log_counts(found: StagedExport, added: int) -> LoadCounts:
    return LoadCounts(added, 0, found.audit.row_count - added)


def _known_rarities(rules: Upsert) -> list[str]:
    known = PresentationRule.objects.order_by("sort_order").values_list("rarity", flat=True)
    return list(dict.fromkeys([*known, *rules.keys()]))


def _check_asset_cards(file: ExportFile, assets: Upsert, cards: Upsert) -> None:
    bad = BadRows()
    lost, total = find_dangling_references(assets.staging, row_schemas.OWNER_COLUMN, cards, MAX_REPORTED_ROWS)
    bad.extend(
        [(place, f"its card {quote_truncated(key)} is not in the export") for place, key in lost], total
    )
    raise_for_bad_rows(file, bad)


@contextmanager
def _file_error_context(file: ExportFile) -> Iterator[None]:
    try:
        yield
    except InvalidContent as exc:
        raise InvalidPack(f"{file.path} was refused: {exc}") from exc
