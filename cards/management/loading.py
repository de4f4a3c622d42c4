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
from cards.packs.loading import EXPLICIT_RARITY_V2, stage_rows
from cards.packs.row_schema import RowSchema
from cards.packs.source import Source, file_sha256, open_source
from cards.thumbnails.stale import request_stale_rendering
from cards.triggers import ignore_rarity_triggers
from ops import bulk_load
from ops.command_lines import manage_command
from ops.formatting import escape_control_chars
from ops.management.arguments import (
    add_json_argument,
    add_mode_arguments,
    add_performed_by_argument,
    get_performed_by_flags,
)
from ops.management.base import OpsCommand
from ops.report.status import status_line
from ops.sql.changes import AuditContext
from ops.sql.upsert import Upsert


class LoadCommand(OpsCommand):
    """Preview a file of rows, or merge it; ``name`` is what the audit log calls it."""

    name: str
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        add_mode_arguments(parser)
        add_performed_by_argument(parser)
        add_json_argument(parser)

    def load(
        self,
        file: Path,
        layout: RowSchema,
        options: dict[str, Any],
        before: Callable[[], Any] = int,
        remarks: Callable[[], list[str]] = list,
    ) -> None:
        """``before`` is called ahead of an execution; ``remarks`` are told of a file that was read."""
        with (
            status_line() as say,
            open_source(file, layout.list_keys) as source,
            stage_rows(source, layout, say) as merge,
        ):
            if options["execute"]:
                before()
                say(f"Merging {merge.staging.row_count:,} rows")
                lines = self.execute_load(merge, source, options, remarks())
            else:
                lines = self.preview_load(merge, source, options, remarks())
        self.write_lines(lines)

    def preview_load(
        self, merge: Upsert, source: Source, options: dict[str, Any], remarks: list[str]
    ) -> list[str]:
        seen = bulk_load.preview(merge)
        if options["json"]:
            return [report.result_json(seen.counts, executed=False, seen=seen)]
        return report.preview_lines(source, seen, remarks, self.format_execute_command(options))

    def execute_load(
        self, merge: Upsert, source: Source, options: dict[str, Any], remarks: list[str]
    ) -> list[str]:
        metadata = {
            "file": escape_control_chars(source.path.name),
            "sha256": file_sha256(source.path),
        }
        signature = AuditContext(self.name, options["performed_by"], metadata)
        counts = bulk_load.execute(
            merge,
            signature,
            insert_context=insert_context(options.get("without_rarity_v2")),
            update_context=EXPLICIT_RARITY_V2 if merge.staging.model is Card else None,
            after_change=partial(request_stale_rendering, options["performed_by"]),
        )
        if options["json"]:
            return [report.result_json(counts, executed=True)]
        return report.result_lines(source, counts, remarks)

    def format_execute_command(self, options: dict[str, Any]) -> str:
        file = [str(options["file"])] if options["file"] else []
        flags = ["--without-rarity-v2"] if options.get("without_rarity_v2") else []
        flags += get_performed_by_flags(options["performed_by"])
        return manage_command(self.name, *file, *flags, "--execute")


def add_without_rarity_v2_flag(parser: CommandParser) -> None:
    parser.add_argument(
        "--without-rarity-v2",
        action="store_true",
        help="Leave rarity_v2 of new cards empty, as the old backend did, for trials of the backfill.",
    )


def insert_context(without_rarity_v2: bool | None) -> bulk_load.ContextFactory:
    """Leave new cards as the old backend left them, for a backfill to find. Changed ones stay equal."""
    return ignore_rarity_triggers if without_rarity_v2 else nullcontext
