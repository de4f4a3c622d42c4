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
        "Restore a backup into a new database, check it, and replace the live database with it. The replaced"
        " database is kept under another name until --drop-old."
    )
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=parse_path, nargs="?", metavar="FILE", help="A file that backup_db wrote."
        )
        parser.add_argument("--confirm", metavar="DATABASE", help="Name of the database to replace.")
        parser.add_argument(
            "--drop-old",
            action="store_true",
            help="Drop the replaced database; without FILE, those that earlier restores replaced.",
        )

    def handle(self, **options: Any) -> None:
        file, server = options["file"], Server.default()
        if file is None and not options["drop_old"]:
            raise CommandError(
                f"Name a backup to restore. To see them: {manage_command('backups')}", returncode=2
            )
        live = f"the database {server.database} on {server.address}"
        effect = f"replace {live} with {file}" if file else f"drop the databases that restores of {live} kept"
        require_confirmation(
            effect, server, options["confirm"], self.get_arguments(file, options["drop_old"])
        )
        with translate_errors():
            if file:
                self.restore_backup(file, server, options["drop_old"])
            if options["drop_old"]:
                self.write_lines(report.format_dropped(drop_replaced_databases(server)))

    def get_arguments(self, file: Path | None, drop_old: bool) -> list[str]:
        return [*([str(file)] if file else []), *(["--drop-old"] if drop_old else [])]

    def restore_backup(self, file: Path, server: Server, drop_old: bool) -> None:
        with (
            interruptible(f"Interrupted: {server.database} was not changed."),
            status_line() as report_status,
        ):
            result = restore_backup(file, server, report_status)
        self.write_lines(report.format_restore(result, drop_old))
