import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from cards.exports.parts import PART_NAMES
from ops.export.summary import open_export
from ops.export.verify import verify_export
from ops.management.arguments import add_json_argument, parse_path
from ops.management.base import OpsCommand
from ops.report.export import format_verification, verification_json
from ops.report.transfer import create_transfer_progress


class Command(OpsCommand):
    help = (
        "Read every row of an export and compare it with its summary. Exits with 1 if a file differs from"
        " what was exported."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=parse_path, metavar="DIR", help="Folder written by export_json.")
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        export = open_export(options["folder"], PART_NAMES)
        results = verify_export(export, create_transfer_progress(options["json"]))
        if options["json"]:
            self.stdout.write(json.dumps(verification_json(export, results)))
        else:
            self.write_lines(format_verification(export, results))
        if any(result.reason for result in results):
            sys.exit(1)
