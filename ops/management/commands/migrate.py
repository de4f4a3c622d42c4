from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import connections

from ops.exceptions import OpsError
from ops.management.arguments import make_argument_type
from ops.parsing import parse_duration
from ops.schema.safe_migrate import RETRY_FOR, MigrationSession, migration_lock
from ops.session import direct_connection, is_pooled


class Command(migrate.Command):
    """Django's migrate, beside players: see Note [Timeouts of migrations] in ops/schema/safe_migrate.py."""

    is_mid_line = False
    session: MigrationSession | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--retry-for",
            type=make_argument_type(parse_duration, "a duration. Type for example 5min."),
            default=RETRY_FOR,
            metavar="SPAN",
            help="How long to try again while other sessions hold locks (default: 5min); 0 tries once.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return
        try:
            with direct_connection():
                self._migrate(*args, **options)
        except OpsError as exc:
            raise CommandError(str(exc), returncode=exc.exit_status) from exc

    def _migrate(self, *args: Any, **options: Any) -> None:
        alias, retry_for = options["database"], options["retry_for"]
        connection = connections[alias]
        if connection.vendor != "postgresql":
            super().handle(*args, **options)
            return
        if is_pooled(alias):
            self._report(
                f"The database {alias!r} is behind a pooler, so no lock_timeout is set: see docs/poolers.md"
            )
            super().handle(*args, **options)
            return
        self.session = MigrationSession(connection, retry_for, self._report)
        with migration_lock(alias, retry_for, self._report):
            self.session.migrate(lambda: super(Command, self).handle(*args, **options))

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        super().migration_progress_callback(action, migration, fake)
        self.is_mid_line = action.endswith("_start") and self.verbosity > 0
        if self.session and action in ("apply_start", "unapply_start"):
            self.session.is_atomic = migration.atomic
        elif self.session and action in ("apply_success", "unapply_success"):
            self.session.is_atomic = True

    def _report(self, message: str) -> None:
        """Write the message on a line of its own: Django has written a migration's name, and not yet OK."""
        if self.is_mid_line:
            self.stdout.write("")
        self.is_mid_line = False
        self.stderr.write(message)
