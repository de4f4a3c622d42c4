import json
from argparse import ArgumentTypeError
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from ops.command_lines import manage_command
from ops.export import queue
from ops.export.files import FORMATS, FileFormat
from ops.export.request import DEFAULT_AUDIT_ROWS, ExportRequest
from ops.export.write import write_export
from ops.interrupts import stop_event
from ops.management.arguments import (
    FILTER_SYNTAX,
    FilterAction,
    add_json_argument,
    add_performed_by_argument,
    non_negative_integer,
    parse_filter,
    parse_path,
)
from ops.management.base import OpsCommand
from ops.operations.scope import Scope
from ops.report.export import export_document, format_export_result, format_queued_export
from ops.report.transfer import create_transfer_progress


class Command(OpsCommand):
    help = (
        "Export the catalogue into a folder of JSON or CSV files, all from one snapshot: cards, rules,"
        " assets, the last rows of the audit log, and a summary. The folder is written atomically."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--output", type=parse_path, metavar="DIR", help="Folder to write (default: exports)."
        )
        parser.add_argument("--overwrite", action="store_true", help="Replace an existing export.")
        parser.add_argument(
            "--audit-logs",
            type=parse_audit_log_limit,
            default=DEFAULT_AUDIT_ROWS,
            metavar="all|N",
            help=f"Number of audit rows, the newest ones (default: {DEFAULT_AUDIT_ROWS}).",
        )
        parser.add_argument(
            "--format",
            choices=FORMATS,
            default=FORMATS[0],
            help="A JSON array, one JSON object per line, or CSV for spreadsheets (default: json).",
        )
        parser.add_argument("--compress", action="store_true", help="Compress the files with gzip.")
        parser.add_argument(
            "--filter",
            action=FilterAction,
            default={},
            type=parse_filter,
            metavar="COLUMN=VALUE",
            help=f"Only these cards, with their assets and audit rows, and all rules; {FILTER_SYNTAX}.",
        )
        parser.add_argument("--queue", action="store_true", help="Let a worker export, and return at once.")
        add_performed_by_argument(parser, "list of exports")
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        form, scope = FileFormat(options["format"], options["compress"]), Scope(options["filter"])
        request = ExportRequest(form, scope, options["audit_logs"], options["overwrite"])
        if options["queue"]:
            self.enqueue_export(request, options)
        else:
            self.export(request, options["output"] or Path("exports"), options)

    def export(self, request: ExportRequest, target: Path, options: Mapping[str, Any]) -> None:
        with stop_event() as stop:
            summary = write_export(request, target, create_transfer_progress(options["json"]), stop)
        if options["json"]:
            self.stdout.write(json.dumps({"event": "exported", "path": str(target), **summary.as_json()}))
        else:
            self.write_lines(format_export_result(summary, target, manage_command("verify_export", target)))

    def enqueue_export(self, request: ExportRequest, options: Mapping[str, Any]) -> None:
        target = str(options["output"].absolute()) if options["output"] else ""
        export, warning = queue.request_export(request, options["performed_by"], target)
        if options["json"]:
            self.stdout.write(json.dumps({**export_document(export), "warning": warning}))
        else:
            self.write_lines(format_queued_export(export, warning))


def parse_audit_log_limit(text: str) -> int | None:
    """Parse ``all`` (None) or a number, for argparse."""
    if text == "all":
        return None
    try:
        return non_negative_integer(text)
    except ArgumentTypeError as exc:
        raise ArgumentTypeError(f"{exc}, or all") from exc
