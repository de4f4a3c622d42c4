import json
from typing import Any

from django.core.management.base import CommandParser

from ops.backups import record
from ops.backups.catalogue import known
from ops.management.base import OpsCommand
from ops.report import backups as report


class Command(OpsCommand):
    help = "List the backups: those in BACKUP_DIR, and those elsewhere that this database knows of."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        found = known()
        if options["json"]:
            for backup in found:
                there = {"path": backup.path, "there": backup.file.is_file()}
                self.stdout.write(json.dumps({"event": "backup", **record.as_json(backup), **there}))
        else:
            self.tell(report.list_lines(found))
