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
from ops.management.arguments import parse_path
from ops.management.base import OpsCommand
from ops.models import Backup
from ops.report import backups as report
from ops.report.status import StatusCallback, status_line


class Command(OpsCommand):
    help = "Dump the database into a file, with a record of what it holds."
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        told = "Ends in .dump (the default; restore_db reads it fastest), .sql or .sql.gz (psql reads them)."
        parser.add_argument("file", type=parse_path, nargs="?", metavar="FILE", help=told)
        parser.add_argument(
            "--verify", action="store_true", help="Restore it into a scratch database and count the rows."
        )
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        with translate_errors(), status_line() as say:
            made = self.make(options["file"] or default_backup_path(), say)
            if options["verify"]:
                self.verify(made, say)
        if options["json"]:
            self.stdout.write(json.dumps({"event": "backup", **manifest.to_dict(made)}))
        else:
            self.write_lines(report.format_created_backup(made))

    def make(self, file: Path, say: StatusCallback) -> Backup:
        with interruptible("Interrupted: no backup was made."):
            say(f"Dumping into {file}")
            return create_backup(file)

    def verify(self, made: Backup, say: StatusCallback) -> None:
        left = f"{report.display_path(made.file)} is whole, but was not verified"
        with interruptible(f"Interrupted: {left}."):
            server = Server.default()
            drop_orphaned_databases(server)
            say(f"Restoring {made.rows:,} rows into a scratch database")
            try:
                verify_backup(made, server)
            except MaintenanceFailed as exc:
                raise MaintenanceFailed(f"{left}: {exc}") from exc
            made.save()
