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
        "Compare the schema of the database with its applied migrations: columns, indexes, constraints,"
        " triggers, functions. Exits with 1 if they differ."
    )
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Write one JSON object.")

    def handle(self, **options: Any) -> None:
        status = read_migration_status()
        differences = detect_drift(status)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(status, differences)))
        else:
            self.write_lines(report.as_lines(status, differences))
        if differences or status.unknown:
            sys.exit(1)
