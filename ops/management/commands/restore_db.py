from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.backups.errors import translate_errors
from ops.backups.restore import require_confirmation, restore_backup
from ops.backups.server import Server
from ops.backups.swap import drop_replaced_databases
from ops.command_lines import manage_command
from ops.interrupts import interruptible
from ops.management.arguments import parse_path
from ops.management.base import OpsCommand
from ops.report import backups as report
from ops.report.status import status_line


class Command(OpsCommand):
    help = (
        "Restore a backup into a new database, which takes the place of the live one once it is known to be"
        " whole. The old one stays, under another name, until --drop-old."
    )
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=parse_path, nargs="?", metavar="FILE", help="What backup_db wrote.")
        parser.add_argument("--confirm", metavar="DATABASE", help="The name of the database to replace.")
        parser.add_argument(
            "--drop-old",
            action="store_true",
            help="Drop the replaced database; without FILE, those that earlier restores have kept.",
        )

    def handle(self, **options: Any) -> None:
        file, server = options["file"], Server.default()
        if file is None and not options["drop_old"]:
            raise CommandError(
                f"Name a backup to restore. To see them: {manage_command('backups')}", returncode=2
            )
        doing = f"put {file} in the place of" if file else "drop what restores have kept of"
        require_confirmation(doing, server, options["confirm"], self.words(file, options["drop_old"]))
        with translate_errors():
            if file:
                self.restore(file, server, options["drop_old"])
            if options["drop_old"]:
                self.write_lines(report.format_dropped(drop_replaced_databases(server)))

    def words(self, file: Path | None, drop_old: bool) -> list[str]:
        return [*([str(file)] if file else []), *(["--drop-old"] if drop_old else [])]

    def restore(self, file: Path, server: Server, drop_old: bool) -> None:
        with interruptible(f"Interrupted: {server.database} is as it was."), status_line() as say:
            done = restore_backup(file, server, say)
        self.write_lines(report.format_restore(done, drop_old))
