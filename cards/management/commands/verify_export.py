import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from cards.exports.parts import NAMES
from ops.export.summary import open_export
from ops.export.verify import verify
from ops.management.arguments import path
from ops.management.base import OpsCommand
from ops.report.export import verdict_json, verdict_lines
from ops.report.meter import meter


class Command(OpsCommand):
    help = (
        "Read an export back, every row of every file, and hold it against its summary; exits with 1 where"
        " a file is not as it was exported."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=path, metavar="DIR", help="What export_json wrote.")
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        export = open_export(options["folder"], NAMES)
        verdicts = verify(export, meter(options["json"]))
        if options["json"]:
            self.stdout.write(json.dumps(verdict_json(export, verdicts)))
        else:
            self.tell(verdict_lines(export, verdicts))
        if any(verdict.reason for verdict in verdicts):
            sys.exit(1)
