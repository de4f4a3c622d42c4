import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from ops.backups import manifest
from ops.backups.dump import create_backup, default_backup_path
from ops.backups.errors import MaintenanceFailed, translate_errors
from ops.backups.load import verify_backup
from ops.backups.scratch import drop_orphaned_databases
from ops.backups.server import Server
from ops.interrupts import interruptible
from ops.management.arguments import add_json_argument, parse_path
from ops.management.base import OpsCommand
from ops.models import Backup
from ops.report import backups as report
from ops.report.status import StatusCallback, status_line


class Command(OpsCommand):
    help = "Back up the database into a file, with a manifest beside it."
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        suffixes = (
            "Ends in .dump (the default; restore_db reads it fastest), .sql or .sql.gz (psql reads them)."
        )
        parser.add_argument("file", type=parse_path, nargs="?", metavar="FILE", help=suffixes)
        parser.add_argument(
            "--verify", action="store_true", help="Restore it into a scratch database and count the rows."
        )
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        with translate_errors(), status_line() as report_status:
            backup = self.make_backup(options["file"] or default_backup_path(), report_status)
            if options["verify"]:
                self.verify_backup(backup, report_status)
        if options["json"]:
            self.stdout.write(json.dumps({"event": "backup", **manifest.to_dict(backup)}))
        else:
            self.write_lines(report.format_created_backup(backup))

    def make_backup(self, file: Path, report_status: StatusCallback) -> Backup:
        with interruptible("Interrupted: no backup was made."):
            report_status(f"Dumping into {file}")
            return create_backup(file)

    def verify_backup(self, backup: Backup, report_status: StatusCallback) -> None:
        remaining = f"{report.display_path(backup.file)} is complete, but was not verified"
        with interruptible(f"Interrupted: {remaining}."):
            server = Server.default()
            drop_orphaned_databases(server)
            report_status(f"Restoring {backup.rows:,} rows into a scratch database")
            try:
                verify_backup(backup, server)
            except MaintenanceFailed as exc:
                raise MaintenanceFailed(f"{remaining}: {exc}") from exc
            backup.save()
