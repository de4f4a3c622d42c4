from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from ops.management.base import OpsCommand
from ops.migration_status import read_migration_status
from ops.report import schema as report
from ops.schema.drift import detect_drift


class Command(OpsCommand):
    help = (
        "Hold the database against what its applied migrations make: columns, indexes, constraints,"
        " triggers, functions; exits with 1 if they differ."
    )
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON, one object.")

    def handle(self, **options: Any) -> None:
        now = read_migration_status()
        found = detect_drift(now)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(now, found)))
        else:
            self.write_lines(report.as_lines(now, found))
        if found or now.unknown:
            sys.exit(1)
