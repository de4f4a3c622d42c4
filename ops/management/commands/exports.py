from __future__ import annotations

import json
import shutil
from argparse import SUPPRESS
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from ops.export import queue
from ops.export.folder import new_folder
from ops.export.summary import SUMMARY
from ops.management.arguments import positive
from ops.management.base import OpsCommand
from ops.models import Export
from ops.report import export as report
from ops.report.table import aligned

_VERBS = {
    "show": "Everything about export N.",
    "cancel": "Cancel export N; nothing of it is left.",
    "fetch": "Copy the folder of export N, whole or not at all.",
}


class Command(OpsCommand):
    help = "List the exports that were left to the workers; show, cancel or fetch one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")
        parser.add_argument("--last", type=positive, default=20, metavar="N", help="How many to list (20).")
        verbs = parser.add_subparsers(dest="verb", metavar="VERB")
        for verb, told in _VERBS.items():
            sub = verbs.add_parser(verb, help=told, description=told, allow_abbrev=False)
            sub.add_argument("number", type=int, metavar="N")
            sub.add_argument("--json", action="store_true", default=SUPPRESS, help="JSON, one object a line.")
            if verb == "fetch":
                sub.add_argument(
                    "--output", type=Path, required=True, metavar="DIR", help="Where it appears."
                )
                sub.add_argument("--overwrite", action="store_true", help="Replace the export that is there.")

    def handle(self, **options: Any) -> None:
        if not options["verb"]:
            self.list(options["last"], options["json"])
            return
        export = queue.get(options["number"])
        if options["verb"] == "cancel":
            queue.cancel(export)
        if options["verb"] == "fetch":
            self.fetch(export, options["output"], options["overwrite"])
            self.tell([f"Export {export.pk} is in {options['output']} now."])
            return
        self.tell([json.dumps(report.as_json(export))] if options["json"] else report.whole(export))

    def list(self, last: int, as_json: bool) -> None:
        found = list(Export.objects.order_by("-pk")[:last])
        if as_json:
            for export in found:
                self.stdout.write(json.dumps(report.as_json(export)))
        elif not found:
            self.tell(["No export was left to the workers yet: manage.py export_json --queue"])
        else:
            self.tell(aligned([report.HEAD, *(report.line(export) for export in found)]))

    def fetch(self, export: Export, target: Path, overwrite: bool) -> None:
        names = queue.files(export)
        with new_folder(target, overwrite=overwrite, mark=SUMMARY, ours=names) as folder:
            for name in names:
                with queue.open_file(export, name) as source, (folder / name).open("xb") as copy:
                    shutil.copyfileobj(source, copy)
