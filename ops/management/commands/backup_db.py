import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from ops.backups import record
from ops.backups.dump import backup, new_name
from ops.backups.errors import Failed, told
from ops.backups.load import verify
from ops.backups.scratch import clear_left
from ops.backups.server import Server
from ops.interrupts import given_up
from ops.management.arguments import path
from ops.management.base import OpsCommand
from ops.models import Backup
from ops.report import backups as report
from ops.report.status import Say, status


class Command(OpsCommand):
    help = "Dump the database into a file, with a record of what it holds."
    goes_direct = True

    def add_arguments(self, parser: CommandParser) -> None:
        told = "Ends in .dump (the default; restore_db reads it fastest), .sql or .sql.gz (psql reads them)."
        parser.add_argument("file", type=path, nargs="?", metavar="FILE", help=told)
        parser.add_argument(
            "--verify", action="store_true", help="Restore it into a scratch database and count the rows."
        )
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        with told(), status() as say:
            made = self.make(options["file"] or new_name(), say)
            if options["verify"]:
                self.verify(made, say)
        if options["json"]:
            self.stdout.write(json.dumps({"event": "backup", **record.as_json(made)}))
        else:
            self.tell(report.made_lines(made))

    def make(self, file: Path, say: Say) -> Backup:
        with given_up("Interrupted: no backup was made."):
            say(f"Dumping into {file}")
            return backup(file)

    def verify(self, made: Backup, say: Say) -> None:
        left = f"{report.shown(made.file)} is whole, but was not verified"
        with given_up(f"Interrupted: {left}."):
            server = Server.default()
            clear_left(server)
            say(f"Restoring {made.rows:,} rows into a scratch database")
            try:
                verify(made, server)
            except Failed as exc:
                raise Failed(f"{left}: {exc}") from exc
            made.save()
