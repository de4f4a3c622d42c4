import json
from typing import Any

from django.core.management.base import CommandParser

from ops.backups import manifest
from ops.backups.listing import list_backups
from ops.management.base import OpsCommand
from ops.report import backups as report


class Command(OpsCommand):
    help = "List the backups: those in BACKUP_DIR, and those elsewhere that this database knows of."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        found = list_backups()
        if options["json"]:
            for backup in found:
                there = {"path": backup.path, "there": backup.file.is_file()}
                self.stdout.write(json.dumps({"event": "backup", **manifest.to_dict(backup), **there}))
        else:
            self.write_lines(report.format_backup_list(found))
