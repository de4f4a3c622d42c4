from typing import Any

from django.core.management.base import CommandParser

from cards.exports import loading, report
from cards.exports.parts import PART_NAMES
from ops.command_lines import manage_command
from ops.export.summary import open_export
from ops.management.arguments import (
    add_json_argument,
    add_mode_arguments,
    add_performed_by_argument,
    get_performed_by_flags,
    parse_path,
)
from ops.management.base import OpsCommand
from ops.report.status import status_line


class Command(OpsCommand):
    help = (
        "Load an export of KYNDO or of the Node backend in one transaction; without --execute, preview it. In"
        " an empty database rows keep their times and ids; in any other they are merged and audited."
    )
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "folder",
            type=parse_path,
            metavar="DIR",
            help="Folder written by export_json or by the Node backend.",
        )
        add_mode_arguments(parser)
        add_performed_by_argument(parser)
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        export = open_export(options["folder"], PART_NAMES)
        with status_line() as show_status, loading.stage_export(export, show_status) as staged:
            if options["execute"]:
                show_status("Loading")
                empty, counts = loading.load_export(staged, options["performed_by"])
                lines = report.result_lines(export, empty, counts)
            else:
                empty, previews = loading.preview_export(staged)
                counts = {part: preview.counts for part, preview in previews.items()}
                arguments = [str(options["folder"]), *get_performed_by_flags(options["performed_by"])]
                to_execute = manage_command("import_json", *arguments, "--execute")
                lines = report.preview_lines(export, empty, previews, to_execute)
        if options["json"]:
            lines = [report.result_json(empty, counts, executed=options["execute"])]
        self.write_lines(lines)
