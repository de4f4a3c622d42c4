from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management.arguments import escape_percent
from ops.management.base import OperationCommand, add_operation_arguments
from ops.operations import registry
from ops.operations.base import Operation


class _OperationParser(CommandParser):
    """The parser of one operation. If the operation is invalid, any arguments raise the reason."""

    problem = ""

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        if self.problem:
            raise CommandError(self.problem)
        return super().parse_known_args(*args, **kwargs)


class Command(OperationCommand):
    operation = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        self.help = "Preview or execute any registered operation."
        return super(OperationCommand, self).create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        choices = parser.add_subparsers(
            dest="operation", metavar="NAME", required=True, parser_class=_OperationParser
        )
        for operation in registry.list_operations():
            name, summary = operation.name, operation.summary()
            add_operation_arguments(
                choices.add_parser(
                    name, help=escape_percent(summary), description=summary, allow_abbrev=False
                ),
                operation,
            )
        for name, problem in registry.get_invalid_operations().items():
            choices.add_parser(name, help=escape_percent(f"Refused: {problem}")).problem = problem

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except SystemExit as exc:
            if exc.code == 2:  # The name may be that of an operation in one of these modules.
                for module, error in registry.get_import_errors().items():
                    self.stderr.write(f"{module} {error}")
            raise

    def get_operation(self, options: Mapping[str, Any]) -> type[Operation]:
        return registry.get_operation(options["operation"])
