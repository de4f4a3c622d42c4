"""A command that lists what there is, the newest first, or with a verb does something about one of them."""

from __future__ import annotations

import json
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import CommandParser
from django.db.models import Model

from ops.command_lines import manage_command
from ops.management.arguments import make_argument_type, positive_integer
from ops.management.base import OpsCommand
from ops.report.table import format_table


class ListCommand(OpsCommand):
    """``head`` and ``line`` make the table, ``nothing`` is said instead of an empty one."""

    model: ClassVar[type[Model]]
    verbs: ClassVar[Mapping[str, str]]
    header: ClassVar[list[str]]
    empty_message: ClassVar[str]

    def format_row(self, row: Any) -> list[str]:
        raise NotImplementedError

    def row_to_json(self, row: Any) -> dict[str, Any]:
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")
        parser.add_argument(
            "--last", type=positive_integer, default=20, metavar="N", help="How many to list (20)."
        )
        listed = f"a number, as {manage_command(self.model._meta.verbose_name_plural)} lists them"
        verbs = parser.add_subparsers(dest="verb", metavar="VERB")
        for verb, told in self.verbs.items():
            sub = verbs.add_parser(verb, help=told, description=told, allow_abbrev=False)
            sub.add_argument("number", type=make_argument_type(int, listed), metavar="N")
            self.add_verb_arguments(sub, verb)

    def add_verb_arguments(self, parser: ArgumentParser, verb: str) -> None:
        parser.add_argument("--json", action="store_true", default=SUPPRESS, help="JSON, one object a line.")

    def list_rows(self, options: Mapping[str, Any]) -> None:
        found = list(self.model._base_manager.order_by("-pk")[: options["last"]])
        if options["json"]:
            for row in found:
                self.stdout.write(json.dumps(self.row_to_json(row)))
        elif not found:
            self.write_lines([self.empty_message])
        else:
            self.write_lines(format_table([self.header, *map(self.format_row, found)]))
