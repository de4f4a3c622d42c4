import json
from typing import Any

from django.core.management.base import CommandParser

from ops.backups import manifest
from ops.backups.listing import list_backups
from ops.management.arguments import add_json_argument
from ops.management.base import OpsCommand
from ops.report import backups as report


class Command(OpsCommand):
    help = "List the backups in BACKUP_DIR, and others that are recorded in this database."

    def add_arguments(self, parser: CommandParser) -> None:
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        backups = list_backups()
        if options["json"]:
            for backup in backups:
                location = {"path": backup.path, "there": backup.file.is_file()}
                self.stdout.write(json.dumps({"event": "backup", **manifest.to_dict(backup), **location}))
        else:
            self.write_lines(report.format_backup_list(backups))
