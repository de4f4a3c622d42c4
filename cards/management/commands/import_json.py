from typing import Any

from django.core.management.base import CommandParser

from cards.exports import loading, report
from cards.exports.parts import NAMES
from ops.export.summary import open_export
from ops.management.arguments import add_mode, add_person, path, person_flags
from ops.management.base import OpsCommand
from ops.report.status import status
from ops.typed import manage


class Command(OpsCommand):
    help = (
        "Load an export of KYNDO, or of the Node backend: previewed first, then whole or not at all. Into an"
        " empty database rows come as they were; into one that is in use they are merged, and audited."
    )
    goes_direct = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "folder", type=path, metavar="DIR", help="What export_json wrote, or its Node ancestor."
        )
        add_mode(parser)
        add_person(parser)
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        export = open_export(options["folder"], NAMES)
        with status() as say, loading.staged_export(export, say) as staged:
            if options["execute"]:
                say("Loading")
                empty, counts = loading.load(staged, options["performed_by"])
                lines = report.done_lines(export, empty, counts)
            else:
                empty, seen = loading.preview(staged)
                counts = {part: preview.counts for part, preview in seen.items()}
                words = [str(options["folder"]), *person_flags(options["performed_by"])]
                to_execute = manage("import_json", *words, "--execute")
                lines = report.preview_lines(export, empty, seen, to_execute)
        if options["json"]:
            lines = [report.as_json(empty, counts, executed=options["execute"])]
        self.tell(lines)
