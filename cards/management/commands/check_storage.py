import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from cards.stored_files import compare_stored_files
from ops.management.arguments import add_json_argument
from ops.management.base import OpsCommand

_MAX_NAMES = 20


class Command(OpsCommand):
    help = (
        "Compare the files in the storage with the assets and cards that name them. Changes nothing. Exits"
        " with 1 if an asset has no file."
    )
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        found = compare_stored_files(_MAX_NAMES)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found)))
        else:
            self.write_lines(
                [
                    f"{found.files:>9,}  files in the storage",
                    f"{found.unused:>9,}  of them that no asset and no card names",
                    *_list_names(found.unused_names, found.unused),
                    f"{found.missing:>9,}  assets whose file is missing",
                    *_list_names(found.missing_names, found.missing),
                ]
            )
            if found.unused:
                self.write_lines(["", "Keep those files: a revert may need one that the audit log names."])
        if found.missing:
            sys.exit(1)


def _list_names(names: list[str], count: int) -> list[str]:
    more = [f"           ... and {count - len(names):,} more"] if count > len(names) else []
    return [*(f"           {' '.join(name.splitlines())}" for name in names), *more]
