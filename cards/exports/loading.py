"""An export on its way into the catalogue: staged, checked, then previewed or loaded, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from django.db import models, transaction

from cards.exports import layouts
from cards.models import Asset, Card, PresentationRule
from cards.packs.errors import SHOWN, BadRows, RefusedPack
from cards.packs.layout import Layout
from cards.packs.loading import both_rarities, check, filled, refuse, staged
from cards.thumbnails.stale import render_stale
from cards.triggers import as_they_were
from ops import upsert, words
from ops.db import read_only
from ops.exceptions import BadContent
from ops.export.read import ExportFile
from ops.export.summary import Export
from ops.models import AuditLog
from ops.report.status import Say
from ops.sql.adopt import ORIGIN, Adoption, dangling, link, reset_sequences
from ops.sql.merge import Merge, Signature
from ops.sql.staging import Staging
from ops.upsert import Counts, Preview
from ops.words import quoted

MODELS: tuple[type[models.Model], ...] = (PresentationRule, Card, Asset, AuditLog)
_BUSY = "Nothing was loaded: others hold rows that the export needs. Try again when they let go."


@dataclass(frozen=True)
class Staged:
    """The rows of an export in temporary tables."""

    export: Export
    rules: Merge
    cards: Merge
    assets: Merge
    audit: Staging

    @property
    def merges(self) -> dict[str, Merge]:
        """By the name of the part, in the order in which they are loaded."""
        return {"presentation_rules": self.rules, "cards": self.cards, "assets": self.assets}

    @property
    def adoption(self) -> Adoption:
        # The keys of the Node backend are no numbers: nothing here can have them.
        return Adoption(self.audit, list(self.merges.values()), "elsewhere:" if self.export.is_ours else "")

    def link(self) -> None:
        link(self.assets.staging, "card", layouts.OWNER, self.cards)


@contextmanager
def staged_export(export: Export, say: Say) -> Iterator[Staged]:
    """All rows of an export; raises ``RefusedPack`` if one of them is bad, or a file is not as it was."""
    with ExitStack() as stack:

        def enter(part: str, layout: Layout) -> Merge:
            with _named(export.files[part]):
                return stack.enter_context(staged(export.files[part], layout, say))

        rules = enter("presentation_rules", layouts.rule_layout(export.is_ours))
        cards = enter("cards", layouts.card_layout(export.is_ours, _rarities(rules)))
        assets = enter("assets", layouts.asset_layout(export.is_ours))
        with _named(export.files["assets"]):
            _check_owners(export.files["assets"], assets, cards)
        log = export.files["audit_logs"]
        with _named(log):
            layout = layouts.audit_layout(export.is_ours)
            audit, bad = stack.enter_context(filled(log, layout, say))
            check(audit, log, layout, bad, key=None)
        found = Staged(export, rules, cards, assets, audit)
        found.link()
        yield found


def is_empty() -> bool:
    """Whether the database holds nothing that an export could disagree with."""
    return not any(model._default_manager.exists() for model in MODELS)


def preview(found: Staged) -> tuple[bool, dict[str, Preview]]:
    """Whether the rows would be taken over as they are, and what would become of those of each part."""
    seen = {part: upsert.preview(merge, samples=3) for part, merge in found.merges.items()}
    with upsert.refusals(), read_only():
        added = found.adoption.count()
        seen["audit_logs"] = Preview(_audit_counts(found, added), [], [])
        return is_empty(), seen


def load(found: Staged, performed_by: str) -> tuple[bool, dict[str, Counts]]:
    """As ``preview``, done. Raises Busy and Refused, with nothing changed."""

    def work() -> tuple[bool, dict[str, Counts]]:
        for merge in found.merges.values():
            upsert.take_turn(merge)
        empty = is_empty()
        counts = _take_over(found) if empty else _merge(found, performed_by)
        upsert.check_constraints()
        return empty, counts

    return upsert.attempt(work, _BUSY)


def _take_over(found: Staged) -> dict[str, Counts]:
    """Into an empty database: every row as it was, its times and, where they can be kept, its keys."""
    origin = ORIGIN if found.export.is_ours else None
    counts = {}
    with as_they_were(), transaction.atomic():
        for part, merge in found.merges.items():
            if merge is found.assets:
                found.link()
            counts[part] = Counts(merge.copy(origin), 0, 0)
        audit = Merge(found.audit, "action").copy(origin) if origin else found.adoption.insert()
        counts["audit_logs"] = Counts(audit, 0, 0)
    reset_sequences(MODELS)
    return counts


def _merge(found: Staged, performed_by: str) -> dict[str, Counts]:
    """Into a catalogue that is in use: as a pack is loaded, with audit rows of its own."""
    counts = {}
    for part, merge in found.merges.items():
        if merge is found.assets:
            found.link()
        file = found.export.files[part]
        signature = Signature(
            "import_json", performed_by, {"file": words.harmless(file.path.name), "sha256": file.sha256}
        )
        settled = both_rarities if merge is found.cards else None
        counts[part] = upsert.merge_within(merge, signature, creating=as_they_were, settled=settled)
    counts["audit_logs"] = _audit_counts(found, found.adoption.insert())
    render_stale(performed_by)
    return counts


def _audit_counts(found: Staged, added: int) -> Counts:
    return Counts(added, 0, found.audit.total - added)


def _rarities(rules: Merge) -> list[str]:
    known = PresentationRule.objects.order_by("sort_order").values_list("rarity", flat=True)
    return list(dict.fromkeys([*known, *rules.keys()]))


def _check_owners(file: ExportFile, assets: Merge, cards: Merge) -> None:
    bad = BadRows()
    lost, total = dangling(assets.staging, layouts.OWNER, cards, SHOWN)
    bad.extend([(place, f"its card {quoted(key)} is not in the export") for place, key in lost], total)
    refuse(file, bad)


@contextmanager
def _named(file: ExportFile) -> Iterator[None]:
    try:
        yield
    except BadContent as exc:
        raise RefusedPack(f"{file.path} was refused: {exc}") from exc
