from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from ops.management.base import OpsCommand
from ops.report import stats as report


class Command(OpsCommand):
    help = "Sessions and lock waits, most expensive statements, table sizes, dead rows, unused indexes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON, one object; durations in seconds.")

    def handle(self, **options: Any) -> None:
        stats = report.DatabaseStats()
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(stats), cls=_SecondsEncoder))
        else:
            self.write_lines(report.as_lines(stats))


class _SecondsEncoder(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        return o.total_seconds() if isinstance(o, timedelta) else super().default(o)
