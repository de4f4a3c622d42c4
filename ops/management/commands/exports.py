from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from ops.export import queue
from ops.export.fetch import fetch
from ops.management.arguments import path
from ops.management.listing import ListCommand
from ops.models import Export
from ops.report import export as report
from ops.typed import manage

_VERBS = {
    "show": "Everything about export N.",
    "cancel": "Cancel export N; nothing of it is left.",
    "fetch": "Copy the folder of export N, whole and as it was exported, or not at all.",
}


class Command(ListCommand):
    help = "List the exports that were left to the workers; show, cancel or fetch one."
    model, verbs, head = Export, _VERBS, report.HEAD
    nothing = f"No export was left to the workers yet: {manage('export_json', '--queue')}"

    def line(self, row: Export) -> list[str]:
        return report.line(row)

    def row_json(self, row: Export) -> dict[str, Any]:
        return report.as_json(row)

    def add_verb_arguments(self, parser: ArgumentParser, verb: str) -> None:
        super().add_verb_arguments(parser, verb)
        if verb == "fetch":
            parser.add_argument("--output", type=path, required=True, metavar="DIR", help="Where it appears.")
            parser.add_argument("--overwrite", action="store_true", help="Replace the export that is there.")

    def handle(self, **options: Any) -> None:
        if not options["verb"]:
            self.list(options)
            return
        export = queue.get(options["number"])
        if options["verb"] == "cancel":
            queue.cancel(export)
        if options["verb"] == "fetch":
            fetch(export, options["output"], overwrite=options["overwrite"])
            self.tell([f"Export {export.pk} is in {options['output']} now, every file as it was exported."])
            return
        self.tell([json.dumps(report.as_json(export))] if options["json"] else report.whole(export))
