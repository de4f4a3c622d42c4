import json
from argparse import ArgumentTypeError
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from ops.export import queue
from ops.export.files import FORMATS, Form
from ops.export.wanted import LAST, Wanted
from ops.export.write import write_export
from ops.interrupts import stop_event
from ops.management.arguments import FILTER_FORMS, Filters, add_person, natural, pair, path
from ops.management.base import OpsCommand
from ops.report.export import as_json, done_lines, queued_lines
from ops.report.meter import meter
from ops.scope import Scope
from ops.typed import manage


class Command(OpsCommand):
    help = (
        "Export the catalogue into a folder of JSON files, all from one snapshot: cards, presentation rules,"
        " assets, the end of the audit log, and a summary. The folder appears whole or not at all."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=path, metavar="DIR", help="Where it appears (exports).")
        parser.add_argument("--overwrite", action="store_true", help="Replace the export that is there.")
        parser.add_argument(
            "--audit-logs", type=last, default=LAST, metavar="all|N", help=f"The last N of them ({LAST})."
        )
        parser.add_argument(
            "--format", choices=FORMATS, default=FORMATS[0], help="An array, or one object a line (json)."
        )
        parser.add_argument("--compress", action="store_true", help="With gzip.")
        parser.add_argument(
            "--filter",
            action=Filters,
            default={},
            type=pair,
            metavar="COLUMN=VALUE",
            help=f"Only these cards, with their assets and audit rows, and all rules; {FILTER_FORMS}.",
        )
        parser.add_argument("--queue", action="store_true", help="Leave it to a worker, and return.")
        add_person(parser)
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        form, scope = Form(options["format"], options["compress"]), Scope(options["filter"])
        wanted = Wanted(form, scope, options["audit_logs"], options["overwrite"])
        if options["queue"]:
            self.leave_to_workers(wanted, options)
        else:
            self.export(wanted, options["output"] or Path("exports"), options)

    def export(self, wanted: Wanted, target: Path, options: Mapping[str, Any]) -> None:
        with stop_event() as stop:
            summary = write_export(wanted, target, meter(options["json"]), stop)
        if options["json"]:
            self.stdout.write(json.dumps({"event": "exported", "path": str(target), **summary.as_json()}))
        else:
            self.tell(done_lines(summary, target, manage("verify_export", target)))

    def leave_to_workers(self, wanted: Wanted, options: Mapping[str, Any]) -> None:
        target = str(options["output"].absolute()) if options["output"] else ""
        export, warning = queue.request(wanted, options["performed_by"], target)
        if options["json"]:
            self.stdout.write(json.dumps({**as_json(export), "warning": warning}))
        else:
            self.tell(queued_lines(export, warning))


def last(text: str) -> int | None:
    """None is all of them."""
    if text == "all":
        return None
    try:
        return natural(text)
    except ArgumentTypeError as exc:
        raise ArgumentTypeError(f"{exc}, or all") from exc
