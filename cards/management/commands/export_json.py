import json
import shlex
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from cards.exports.parts import LAST, catalogue
from ops.export.files import FORMATS, Form
from ops.export.write import write_export
from ops.management.arguments import natural
from ops.management.base import OpsCommand
from ops.management.signals import stop_event
from ops.report.export import done_lines
from ops.report.meter import meter


class Command(OpsCommand):
    help = (
        "Export the catalogue into a folder of JSON files, all from one snapshot: cards, presentation rules,"
        " assets, the end of the audit log, and a summary. The folder appears whole or not at all."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--output", type=Path, default=Path("exports"), metavar="DIR", help="Where it appears (exports)."
        )
        parser.add_argument("--overwrite", action="store_true", help="Replace the export that is there.")
        parser.add_argument(
            "--audit-logs", type=last, default=LAST, metavar="all|N", help=f"The last N of them ({LAST})."
        )
        parser.add_argument(
            "--format", choices=FORMATS, default=FORMATS[0], help="An array, or one object a line (json)."
        )
        parser.add_argument("--compress", action="store_true", help="With gzip.")
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        parts, form = catalogue(options["audit_logs"]), Form(options["format"], options["compress"])
        target, overwrite, shown = options["output"], options["overwrite"], meter(options["json"])
        with stop_event() as stop:
            summary = write_export(parts, target, form, overwrite=overwrite, meter=shown, stop=stop)
        if options["json"]:
            self.stdout.write(json.dumps({"event": "exported", "path": str(target), **summary.as_json()}))
        else:
            self.tell(done_lines(summary, target, shlex.join(["manage.py", "verify_export", str(target)])))


def last(text: str) -> int | None:
    """None is all of them."""
    if text == "all":
        return None
    try:
        return natural(text)
    except ArgumentTypeError as exc:
        raise ArgumentTypeError(f"{exc}, or all") from exc
