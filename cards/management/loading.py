"""The base of load_pack and load_rules: flags, preview, execution."""

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
from ops.sql.dual_write import dual_writes_off
from ops.sql.upsert import Upsert


class LoadCommand(OpsCommand):
    """Preview or merge a file of rows; ``name`` is the command, and the action in the audit log."""

    name: str
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        add_mode_arguments(parser)
        add_performed_by_argument(parser)
        add_json_argument(parser)

    def load(
        self,
        file: Path,
        schema: RowSchema,
        options: dict[str, Any],
        before: Callable[[], Any] = int,
        remarks: Callable[[], list[str]] = list,
    ) -> None:
        """Load ``file``; call ``before`` ahead of an execution, and show ``remarks()`` once it is read."""
        with (
            status_line() as show_status,
            open_source(file, schema.list_keys) as source,
            stage_rows(source, schema, show_status) as upsert,
        ):
            if options["execute"]:
                before()
                show_status(f"Merging {upsert.staging.row_count:,} rows")
                lines = self.execute_load(upsert, source, options, remarks())
            else:
                lines = self.preview_load(upsert, source, options, remarks())
        self.write_lines(lines)

    def preview_load(
        self, upsert: Upsert, source: Source, options: dict[str, Any], remarks: list[str]
    ) -> list[str]:
        preview = bulk_load.preview(upsert)
        if options["json"]:
            return [report.result_json(preview.counts, executed=False, preview=preview)]
        return report.preview_lines(source, preview, remarks, self.format_execute_command(options))

    def execute_load(
        self, upsert: Upsert, source: Source, options: dict[str, Any], remarks: list[str]
    ) -> list[str]:
        metadata = {
            "file": escape_control_chars(source.path.name),
            "sha256": file_sha256(source.path),
        }
        audit_context = AuditContext(self.name, options["performed_by"], metadata)
        counts = bulk_load.execute(
            upsert,
            audit_context,
            insert_context=insert_context(options.get("without_rarity_v2")),
            update_context=EXPLICIT_RARITY_V2 if upsert.staging.model is Card else None,
            after_change=partial(request_stale_rendering, options["performed_by"]),
        )
        if options["json"]:
            return [report.result_json(counts, executed=True)]
        return report.result_lines(source, counts, remarks)

    def format_execute_command(self, options: dict[str, Any]) -> str:
        """Return the command that executes what was previewed."""
        file = [str(options["file"])] if options["file"] else []
        flags = ["--without-rarity-v2"] if options.get("without_rarity_v2") else []
        flags += get_performed_by_flags(options["performed_by"])
        return manage_command(self.name, *file, *flags, "--execute")


def add_without_rarity_v2_flag(parser: CommandParser) -> None:
    parser.add_argument(
        "--without-rarity-v2",
        action="store_true",
        help="Leave rarity_v2 of new cards empty, as the old backend did, to test the backfill.",
    )


def insert_context(without_rarity_v2: bool | None) -> bulk_load.ContextFactory:
    """Return the context of inserts, in which dual writes are off if the flag is set."""
    return dual_writes_off if without_rarity_v2 else nullcontext
