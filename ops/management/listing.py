"""Base class of commands that list the newest rows of a model, or with a verb act on one of them."""

from __future__ import annotations

import json
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import CommandParser
from django.db.models import Model

from ops.command_lines import manage_command
from ops.management.arguments import add_json_argument, make_argument_type, positive_integer
from ops.management.base import OpsCommand
from ops.report.table import format_table


class ListCommand(OpsCommand):
    """``header`` and ``format_row`` make the table; ``empty_message`` is written if there are no rows.

    ``verbs`` maps each verb to its help text.
    """

    model: ClassVar[type[Model]]
    verbs: ClassVar[Mapping[str, str]]
    header: ClassVar[list[str]]
    empty_message: ClassVar[str]

    def format_row(self, row: Any) -> list[str]:
        raise NotImplementedError

    def row_to_json(self, row: Any) -> dict[str, Any]:
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        add_json_argument(parser)
        parser.add_argument(
            "--last", type=positive_integer, default=20, metavar="N", help="List the newest N (default: 20)."
        )
        meta = self.model._meta
        description = f"a {meta.verbose_name} number; {manage_command(meta.verbose_name_plural)} lists them"
        subparsers = parser.add_subparsers(dest="verb", metavar="VERB")
        for verb, help_text in self.verbs.items():
            verb_parser = subparsers.add_parser(
                verb, help=help_text, description=help_text, allow_abbrev=False
            )
            verb_parser.add_argument(
                "number",
                type=make_argument_type(int, description),
                metavar="N",
                help=f"Number of the {meta.verbose_name}.",
            )
            self.add_verb_arguments(verb_parser, verb)

    def add_verb_arguments(self, parser: ArgumentParser, verb: str) -> None:
        add_json_argument(parser, default=SUPPRESS)

    def list_rows(self, options: Mapping[str, Any]) -> None:
        rows = list(self.model._base_manager.order_by("-pk")[: options["last"]])
        if options["json"]:
            for row in rows:
                self.stdout.write(json.dumps(self.row_to_json(row)))
        elif not rows:
            self.write_lines([self.empty_message])
        else:
            self.write_lines(format_table([self.header, *map(self.format_row, rows)]))
