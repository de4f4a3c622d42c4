from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from ops import registry
from ops.management.base import OperationCommand, add_operation_arguments
from ops.operation import Operation


class Command(OperationCommand):
    operation = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        self.help = "Preview or execute any registered operation."
        return super(OperationCommand, self).create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        choices = parser.add_subparsers(dest="operation", metavar="NAME", required=True)
        for operation in registry.all_operations():
            name, summary = operation.name, operation.summary()
            add_operation_arguments(
                choices.add_parser(name, help=summary, description=summary, allow_abbrev=False), operation
            )

    def get_operation(self, options: Mapping[str, Any]) -> type[Operation]:
        return registry.get(options["operation"])
