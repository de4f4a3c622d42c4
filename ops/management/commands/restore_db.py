from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.backups.errors import told
from ops.backups.restore import confirm, restore
from ops.backups.server import Server
from ops.backups.swap import drop_old
from ops.interrupts import given_up
from ops.management.arguments import path
from ops.management.base import OpsCommand
from ops.report import backups as report
from ops.report.status import status
from ops.typed import manage


class Command(OpsCommand):
    help = (
        "Restore a backup into a new database, which takes the place of the live one once it is known to be"
        " whole. The old one stays, under another name, until --drop-old."
    )
    goes_direct = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=path, nargs="?", metavar="FILE", help="What backup_db wrote.")
        parser.add_argument("--confirm", metavar="DATABASE", help="The name of the database to replace.")
        parser.add_argument(
            "--drop-old",
            action="store_true",
            help="Drop the replaced database; without FILE, those that earlier restores have kept.",
        )

    def handle(self, **options: Any) -> None:
        file, server = options["file"], Server.default()
        if file is None and not options["drop_old"]:
            raise CommandError(f"Name a backup to restore. To see them: {manage('backups')}", returncode=2)
        doing = f"put {file} in the place of" if file else "drop what restores have kept of"
        confirm(doing, server, options["confirm"], self.words(file, options["drop_old"]))
        with told():
            if file:
                self.restore(file, server, options["drop_old"])
            if options["drop_old"]:
                self.tell(report.dropped_lines(drop_old(server)))

    def words(self, file: Path | None, drop_old: bool) -> list[str]:
        return [*([str(file)] if file else []), *(["--drop-old"] if drop_old else [])]

    def restore(self, file: Path, server: Server, drop_old: bool) -> None:
        with given_up(f"Interrupted: {server.database} is as it was."), status() as say:
            done = restore(file, server, say)
        self.tell(report.restored_lines(done, drop_old))
