"""What load_pack and load_rules share: their flags, their preview, their execution."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from cards.models import Card
from cards.packs import report
from cards.packs.layout import Layout
from cards.packs.loading import both_rarities, staged
from cards.packs.source import Source, open_source, sha256
from cards.thumbnails.stale import render_stale
from cards.triggers import as_they_were
from ops import upsert, words
from ops.management.arguments import add_mode, add_person, person_flags
from ops.management.base import OpsCommand
from ops.report.status import status
from ops.sql.merge import Merge, Signature
from ops.typed import manage


class LoadCommand(OpsCommand):
    """Preview a file of rows, or merge it; ``name`` is what the audit log calls it."""

    name: str
    goes_direct = True

    def add_arguments(self, parser: CommandParser) -> None:
        add_mode(parser)
        add_person(parser)
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def load(
        self,
        file: Path,
        layout: Layout,
        options: dict[str, Any],
        before: Callable[[], Any] = int,
        remarks: Callable[[], list[str]] = list,
    ) -> None:
        """``before`` is called ahead of an execution; ``remarks`` are told of a file that was read."""
        with status() as say, open_source(file, layout.lists) as source, staged(source, layout, say) as merge:
            if options["execute"]:
                before()
                say(f"Merging {merge.staging.total:,} rows")
                lines = self.execute_load(merge, source, options, remarks())
            else:
                lines = self.preview(merge, source, options, remarks())
        self.tell(lines)

    def preview(self, merge: Merge, source: Source, options: dict[str, Any], remarks: list[str]) -> list[str]:
        seen = upsert.preview(merge)
        if options["json"]:
            return [report.as_json(seen.counts, executed=False, seen=seen)]
        return report.preview_lines(source, seen, remarks, self.to_execute(options))

    def execute_load(
        self, merge: Merge, source: Source, options: dict[str, Any], remarks: list[str]
    ) -> list[str]:
        metadata = {"file": words.harmless(source.path.name), "sha256": sha256(source.path)}
        signature = Signature(self.name, options["performed_by"], metadata)
        counts = upsert.execute(
            merge,
            signature,
            creating=creating(options.get("without_rarity_v2")),
            settled=both_rarities if merge.staging.model is Card else None,
            then=partial(render_stale, options["performed_by"]),
        )
        if options["json"]:
            return [report.as_json(counts, executed=True)]
        return report.done_lines(source, counts, remarks)

    def to_execute(self, options: dict[str, Any]) -> str:
        file = [str(options["file"])] if options["file"] else []
        flags = ["--without-rarity-v2"] if options.get("without_rarity_v2") else []
        flags += person_flags(options["performed_by"])
        return manage(self.name, *file, *flags, "--execute")


def add_without_rarity_v2(parser: CommandParser) -> None:
    parser.add_argument(
        "--without-rarity-v2",
        action="store_true",
        help="Leave rarity_v2 of new cards empty, as the old backend did, for trials of the backfill.",
    )


def creating(without_rarity_v2: bool | None) -> upsert.Creating:
    """Leave new cards as the old backend left them, for a backfill to find. Changed ones stay equal."""
    return as_they_were if without_rarity_v2 else nullcontext
