"""Import of an export: its files are staged and checked, then previewed or loaded in one transaction."""

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
from ops import bulk_load
from ops.bulk_load import LoadCounts, LoadPreview
from ops.command_lines import manage_command
from ops.db import read_only_snapshot
from ops.exceptions import InvalidContent
from ops.export.reader import ExportFile
from ops.export.summary import ExportFolder
from ops.formatting import escape_control_chars, quote_truncated
from ops.models import AuditLog
from ops.report.status import StatusCallback
from ops.sql.changes import AuditContext
from ops.sql.dual_write import dual_writes_off
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
        """The upserts by the name of the part, in loading order."""
        return {"presentation_rules": self.rules, "cards": self.cards, "assets": self.assets}

    @property
    def audit_import(self) -> AuditImport:
        # Keys of the Node backend are not numbers, so they cannot collide with ids of this database.
        return AuditImport(
            self.audit, list(self.upserts.values()), "elsewhere:" if self.export.is_ours else ""
        )

    def link_assets(self) -> None:
        """Set the cards of the staged assets; again once new cards have their ids."""
        resolve_foreign_keys(self.assets.staging, "card", row_schemas.OWNER_COLUMN, self.cards)


@contextmanager
def stage_export(export: ExportFolder, show_status: StatusCallback) -> Iterator[StagedExport]:
    """Stage all rows of an export; raises InvalidPack if a row is bad or a file was changed, or is CSV."""
    _require_json(export)
    with ExitStack() as stack:

        def enter(part: str, schema: RowSchema) -> Upsert:
            with _file_error_context(export.files[part]):
                return stack.enter_context(stage_rows(export.files[part], schema, show_status))

        rules = enter("presentation_rules", row_schemas.rule_schema(export.is_ours))
        cards = enter("cards", row_schemas.card_schema(export.is_ours, _known_rarities(rules)))
        assets = enter("assets", row_schemas.asset_schema(export.is_ours))
        with _file_error_context(export.files["assets"]):
            _check_asset_cards(export.files["assets"], assets, cards)
        log = export.files["audit_logs"]
        with _file_error_context(log):
            schema = row_schemas.audit_log_schema(export.is_ours)
            audit, bad = stack.enter_context(fill_staging(log, schema, show_status))
            check_rows(audit, log, schema, bad, key=None)
        staged = StagedExport(export, rules, cards, assets, audit)
        staged.link_assets()
        yield staged


def _require_json(export: ExportFolder) -> None:
    """CSV does not tell NULL from an empty text, so it cannot be loaded exactly as it was."""
    if csv := next((file.path for file in export.files.values() if file.is_csv), None):
        raise InvalidPack(
            f"{export.folder} is an export as CSV, which is for spreadsheets. To import it, export it as"
            " json or jsonl.",
            f"To load its cards only: {manage_command('load_pack', csv.with_name('cards.csv'))}",
        )


def is_catalogue_empty() -> bool:
    """Return whether all tables of an export are empty."""
    return not any(model._default_manager.exists() for model in MODELS)


def preview_export(staged: StagedExport) -> tuple[bool, dict[str, LoadPreview]]:
    """Return whether the catalogue is empty, and the preview of each part."""
    previews = {part: bulk_load.preview(upsert, samples=3) for part, upsert in staged.upserts.items()}
    with bulk_load.translate_data_errors(), read_only_snapshot():
        added = staged.audit_import.count()
        previews["audit_logs"] = LoadPreview(_audit_log_counts(staged, added), [], [])
        return is_catalogue_empty(), previews


def load_export(staged: StagedExport, performed_by: str) -> tuple[bool, dict[str, LoadCounts]]:
    """Load the export; return whether the catalogue was empty, and the counts of each part."""

    def work() -> tuple[bool, dict[str, LoadCounts]]:
        for upsert in staged.upserts.values():
            bulk_load.acquire_load_lock(upsert)
        empty = is_catalogue_empty()
        counts = _copy_into_empty(staged) if empty else _merge_into_existing(staged, performed_by)
        bulk_load.check_constraints()
        return empty, counts

    return bulk_load.retry_on_lock(work, _BUSY_MESSAGE)


def _copy_into_empty(staged: StagedExport) -> dict[str, LoadCounts]:
    """Load into empty tables: rows keep their timestamps and, from KYNDO, their ids."""
    origin = ORIGINAL_KEY if staged.export.is_ours else None
    counts = {}
    with dual_writes_off(), transaction.atomic():
        for part, upsert in staged.upserts.items():
            if upsert is staged.assets:
                staged.link_assets()
            counts[part] = LoadCounts(upsert.insert_all(origin), 0, 0)
        audit = Upsert(staged.audit, "action").insert_all(origin) if origin else staged.audit_import.insert()
        counts["audit_logs"] = LoadCounts(audit, 0, 0)
    reset_sequences(MODELS)
    return counts


def _merge_into_existing(staged: StagedExport, performed_by: str) -> dict[str, LoadCounts]:
    """Merge into a catalogue that has rows, as a pack is loaded, with new audit rows."""
    counts = {}
    for part, upsert in staged.upserts.items():
        if upsert is staged.assets:
            staged.link_assets()
        file = staged.export.files[part]
        audit_context = AuditContext(
            "import_json",
            performed_by,
            {"file": escape_control_chars(file.path.name), "sha256": file.sha256},
        )
        explicit = EXPLICIT_RARITY_V2 if upsert is staged.cards else None
        counts[part] = bulk_load.upsert_in_transaction(
            upsert, audit_context, insert_context=dual_writes_off, update_context=explicit
        )
    counts["audit_logs"] = _audit_log_counts(staged, staged.audit_import.insert())
    request_stale_rendering(performed_by)
    return counts


def _audit_log_counts(staged: StagedExport, added: int) -> LoadCounts:
    return LoadCounts(added, 0, staged.audit.row_count - added)


def _known_rarities(rules: Upsert) -> list[str]:
    rarities = PresentationRule.objects.order_by("sort_order").values_list("rarity", flat=True)
    return list(dict.fromkeys([*rarities, *rules.keys()]))


def _check_asset_cards(file: ExportFile, assets: Upsert, cards: Upsert) -> None:
    bad = BadRows()
    dangling, total = find_dangling_references(
        assets.staging, row_schemas.OWNER_COLUMN, cards, MAX_REPORTED_ROWS
    )
    bad.extend(
        [(position, f"its card {quote_truncated(key)} is not in the export") for position, key in dangling],
        total,
    )
    raise_for_bad_rows(file, bad)


@contextmanager
def _file_error_context(file: ExportFile) -> Iterator[None]:
    try:
        yield
    except InvalidContent as exc:
        raise InvalidPack(f"{file.path} was refused: {exc}") from exc
