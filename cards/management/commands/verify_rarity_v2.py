import json
import sys
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from cards.operations import RarityV2
from ops.command_lines import manage_command
from ops.engine.finish import verify_operation
from ops.management.arguments import add_json_argument
from ops.management.base import OpsCommand
from ops.operations import registry
from ops.operations.scope import Scope
from ops.operations.validation import build_operation
from ops.report.run import format_checks


class Command(OpsCommand):
    help = "Check that every card has a rarity_v2 and that it equals its rarity. Exits with 1 if not."

    def add_arguments(self, parser: CommandParser) -> None:
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        backfill = registry.get_operation(RarityV2.operation_name())
        checks = verify_operation(build_operation(backfill, {}, timezone.now()), Scope())
        self.write_lines(
            [json.dumps({"event": "checks", "checks": checks})] if options["json"] else format_checks(checks)
        )
        if checks[0]["found"] and not options["json"]:
            self.write_lines([f"To fill it: {manage_command(backfill.name)}"])
        if any(check["found"] for check in checks):
            sys.exit(1)
