from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations.operations.base import Operation

from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.management.arguments import make_argument_type
from ops.migrate.migration_lock import migration_lock
from ops.migrate.plan_executor import PlanExecutor
from ops.migrate.safe_migrate import SafeExecutor
from ops.migrate.timeouts import RETRY_FOR, MigrationSession
from ops.migrate.unfinished import list_unfinished
from ops.parsing import parse_duration
from ops.report.migration_plan import format_operation
from ops.session import direct_connection, is_pooled


class Command(migrate.Command):
    """Django's migrate, beside players: see the notes in ops/migrate/timeouts.py and safe_migrate.py."""

    is_mid_line = False
    is_repeated = False
    wanted_verbosity = 1
    plan_executor: PlanExecutor | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        duration = make_argument_type(parse_duration, "a duration. Type for example 5min.")
        parser.add_argument(
            "--retry-for",
            type=duration,
            default=RETRY_FOR,
            metavar="SPAN",
            help="How long to try again while other sessions hold locks (default: 5min); 0 tries once.",
        )
        parser.add_argument(
            "--lock-timeout",
            type=duration,
            metavar="SPAN",
            help="How long a statement, and every player behind it, waits for a lock (default: 1s).",
        )
        parser.add_argument(
            "--statement-timeout",
            type=duration,
            metavar="SPAN",
            help="How long a statement may take, and a migration may lock a table (default: 5s).",
        )
        parser.add_argument(
            "--allow-unsafe",
            action="store_true",
            help="Apply also what keeps players of a large table waiting. Use it only while nobody plays.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check_unapplied"] and not options["plan"]:
            super().handle(*args, **options)
            return
        try:
            with direct_connection():
                self._migrate(*args, **options)
        except OpsError as exc:
            self._end_line()
            raise CommandError(str(exc), returncode=exc.exit_status) from exc

    def _migrate(self, *args: Any, **options: Any) -> None:
        alias, self.wanted_verbosity = options["database"], options["verbosity"]
        if connections[alias].vendor != "postgresql":
            super().handle(*args, **options)
            return
        session = MigrationSession(
            connections[alias],
            options["retry_for"],
            self._report,
            lock_timeout=options["lock_timeout"],
            statement_timeout=options["statement_timeout"],
            has_session=not is_pooled(alias),
        )
        if options["plan"]:
            self._plan(session, *args, **options)
            return
        with _executor(partial(SafeExecutor, session, allow_unsafe=options["allow_unsafe"])):
            self._handle_in(session, *args, **options)

    def _plan(self, session: MigrationSession, *args: Any, **options: Any) -> None:
        def make(callback: Any) -> PlanExecutor:
            self.plan_executor = PlanExecutor(session, callback)
            return self.plan_executor

        with session.timeouts(), session.explained(), _executor(make):
            super().handle(*args, **options)

    def describe_operation(self, operation: Operation, backwards: bool) -> tuple[str, bool]:  # type: ignore[override]
        """Describe the operation, with its statements as they will be run."""
        message, is_error = super().describe_operation(operation, backwards)
        executor = self.plan_executor
        plan = executor.find_plan(operation) if executor else None
        if executor and plan:
            message += format_operation(plan, executor.session.catalog, executor.session.limits())
        return message, is_error

    def _handle_in(self, session: MigrationSession, *args: Any, **options: Any) -> None:
        if not session.has_session:
            self._report(
                f"The database {options['database']!r} is behind a pooler, so nothing keeps another process"
                " from migrating it meanwhile: see docs/poolers.md"
            )
            session.migrate(lambda: self._handle(*args, **options))
        else:
            with migration_lock(options["database"], options["retry_for"], self._report):
                session.migrate(lambda: self._handle(*args, **options))
        self._report_unfinished(session)

    def _handle(self, *args: Any, **options: Any) -> None:
        """Call Django's command; again after a conflict in a signal's receiver, without its headings."""
        verbosity = 0 if self.is_repeated else options["verbosity"]
        self.is_repeated = True
        super().handle(*args, **{**options, "verbosity": verbosity})

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        self.verbosity = self.wanted_verbosity
        super().migration_progress_callback(action, migration, fake)
        self.is_mid_line = action.endswith("_start") and self.verbosity > 0

    def _report_unfinished(self, session: MigrationSession) -> None:
        for app, name, is_backwards in list_unfinished(session.connection):
            if is_backwards:
                self._report(
                    f"{app}.{name} was undone in part. To go on, name the migration before it:"
                    f" {manage_command('migrate', app, 'NAME')}"
                )

    def _report(self, message: str) -> None:
        """Write the message on a line of its own: Django has written a migration's name, and not yet OK."""
        self._end_line()
        self.stderr.write(message)

    def _end_line(self) -> None:
        if self.is_mid_line:
            self.stdout.write("")
            self.stdout.flush()  # before the next line, which goes to stderr
        self.is_mid_line = False


@contextmanager
def _executor(make: Any) -> Iterator[None]:
    """Let Django's command use this executor: it has no hook for one. ``make`` gets the callback only."""
    module: Any = migrate
    before = module.MigrationExecutor
    module.MigrationExecutor = lambda connection, callback=None: make(callback)
    try:
        yield
    finally:
        module.MigrationExecutor = before
