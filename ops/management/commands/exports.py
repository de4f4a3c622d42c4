from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from ops.command_lines import manage_command
from ops.export import queue
from ops.export.fetch import fetch_export
from ops.management.arguments import parse_path
from ops.management.listing import ListCommand
from ops.models import Export
from ops.report import export as report

_VERBS = {
    "show": "Show the details of export N.",
    "cancel": "Cancel export N. None of its files are kept.",
    "fetch": "Copy the folder of export N: all its files, unchanged, or nothing.",
}


class Command(ListCommand):
    help = "List the exports that were queued for the workers; show, cancel or fetch one."
    model, verbs, header = Export, _VERBS, report.HEADER
    empty_message = f"No export was queued yet. To queue one: {manage_command('export_json', '--queue')}"

    def format_row(self, row: Export) -> list[str]:
        return report.format_export_row(row)

    def row_to_json(self, row: Export) -> dict[str, Any]:
        return report.export_document(row)

    def add_verb_arguments(self, parser: ArgumentParser, verb: str) -> None:
        super().add_verb_arguments(parser, verb)
        if verb == "fetch":
            parser.add_argument(
                "--output", type=parse_path, required=True, metavar="DIR", help="The folder to create."
            )
            parser.add_argument("--overwrite", action="store_true", help="Replace an export in that folder.")

    def handle(self, **options: Any) -> None:
        if not options["verb"]:
            self.list_rows(options)
            return
        export = queue.get_export(options["number"])
        if options["verb"] == "cancel":
            queue.cancel_export(export)
        if options["verb"] == "fetch":
            fetch_export(export, options["output"], overwrite=options["overwrite"])
            self.write_lines(
                [f"Export {export.pk} was copied to {options['output']}. Every file is as it was exported."]
            )
            return
        self.write_lines(
            [json.dumps(report.export_document(export))]
            if options["json"]
            else report.format_export_details(export)
        )
