from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from ops.atomic_files import write_atomically
from ops.history import read_history
from ops.management.arguments import add_performed_by_argument, make_argument_type, parse_path
from ops.management.base import OpsCommand
from ops.parsing import parse_timestamp
from ops.report.history import as_markdown

_DAY = timedelta(days=1)


class Command(OpsCommand):
    help = "Write an entry of the migration log: the migrations and runs since a time, with figures."

    def add_arguments(self, parser: CommandParser) -> None:
        timestamp = make_argument_type(
            parse_timestamp, "a time. Type for example 2026-11-25, '2026-11-25 14:30' (UTC) or 2h (ago)."
        )
        parser.add_argument("--since", type=timestamp, metavar="WHEN", help="By default the last 24 hours.")
        parser.add_argument("--title", default="", help="By default the names of the migrations and runs.")
        parser.add_argument(
            "--note", action="append", default=[], metavar="TEXT", help="For Issues/Notes; may be repeated."
        )
        parser.add_argument("--output", type=parse_path, metavar="FILE", help="By default the terminal.")
        parser.add_argument("--overwrite", action="store_true", help="Replace the file.")
        add_performed_by_argument(parser, "entry")

    def handle(self, **options: Any) -> None:
        history = read_history(options["since"] or timezone.now() - _DAY)
        text = as_markdown(history, options["title"], options["performed_by"], options["note"])
        if options["output"] is None:
            self.stdout.write(text, ending="")
        else:
            write_atomically(options["output"], text, options["overwrite"])
            self.write_lines([f"Written: {options['output']}"])
