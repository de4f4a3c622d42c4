from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.backups.errors import translate_errors
from ops.backups.manifest import check_file
from ops.backups.restore import require_confirmation, restore_backup
from ops.backups.server import Server
from ops.backups.swap import drop_replaced_databases, list_replaced_databases
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
        file, drop_old, server = options["file"], options["drop_old"], Server.default()
        if file is None and not drop_old:
            raise CommandError(
                f"Name a backup to restore. To see them: {manage_command('backups')}", returncode=2
            )
        if file:
            check_file(file)
        with translate_errors():
            old = list_replaced_databases(server) if drop_old else []
            if file or old:
                effect = self.describe_effect(file, drop_old, old, server)
                require_confirmation(effect, server, options["confirm"], self.get_arguments(file, drop_old))
            if file:
                self.restore_backup(file, server, drop_old)
            if drop_old:
                self.write_lines(report.format_dropped(drop_replaced_databases(server)))

    def describe_effect(self, file: Path | None, drop_old: bool, old: list[str], server: Server) -> str:
        names = ", ".join(old)
        if file is None:
            return f"drop {names} on {server.address}"
        effect = f"replace the database {server.database} on {server.address} with {file}"
        if not drop_old:
            return effect
        return f"{effect}, and drop the replaced database{f' and {names}' if names else ''}"

    def get_arguments(self, file: Path | None, drop_old: bool) -> list[str]:
        return [*([str(file)] if file else []), *(["--drop-old"] if drop_old else [])]

    def restore_backup(self, file: Path, server: Server, drop_old: bool) -> None:
        with (
            interruptible(f"Interrupted: {server.database} was not changed."),
            status_line() as report_status,
        ):
            result = restore_backup(file, server, report_status)
        self.write_lines(report.format_restore(result, drop_old))
