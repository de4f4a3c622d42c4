"""Base classes of the commands: arguments, preview, execution and errors of an operation."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from threading import Event
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ops.checks import TAG
from ops.command_lines import manage_command
from ops.db import without_timeouts
from ops.engine.loop import run_batches
from ops.exceptions import (
    DatabaseUnavailable,
    DeclarationChanged,
    InvalidDeclaration,
    InvalidParams,
    OpsError,
)
from ops.formatting import escape_control_chars
from ops.interrupts import stop_event
from ops.management.arguments import (
    FILTER_SYNTAX,
    FilterAction,
    add_ignore_health_argument,
    add_json_argument,
    add_mode_arguments,
    add_no_backup_argument,
    add_performed_by_argument,
    add_throttle_arguments,
    add_worker_arguments,
    escape_percent,
    lane_count,
    parse_filter,
)
from ops.models import Origin, Run
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.scope import Scope
from ops.queue.enqueue import enqueue_run
from ops.report import preview as report_preview
from ops.report import run as report_run
from ops.report import run_json
from ops.report.column_change_run import format_change_hint
from ops.report.reporters import JsonLinesReporter, LineReporter, ProgressReporter
from ops.runs import lifecycle
from ops.runs.creation import RunRequest, create_run
from ops.runs.preview import build_preview
from ops.session import direct_connection
from ops.states import State

EXIT_INTERRUPTED = 130
# The run was created, and starts once a second person has approved it.
EXIT_AWAITING_APPROVAL = 3


class OpsCommand(BaseCommand):
    """A command that reports expected errors in a line or two, without a traceback."""

    requires_system_checks = (TAG,)
    needs_direct_connection: ClassVar[bool] = False  # True bypasses a pooler: the command needs a session.

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # No abbreviations: ``--exec`` must not mean ``--execute``.
        return super().create_parser(prog_name, subcommand, **{"allow_abbrev": False, **kwargs})

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except CommandError as exc:  # raised while the parser was built; Django catches later ones itself
            if "--traceback" in argv:
                raise
            self.stderr.write(f"CommandError: {exc}")
            sys.exit(exc.returncode)

    def execute(self, *args: Any, **options: Any) -> str | None:
        if self.needs_direct_connection and not options["skip_checks"]:
            self.check(tags=[TAG])  # here and not by Django: the direct connection uses a setting
            options["skip_checks"] = True
        with (
            self.translate_errors(),
            without_timeouts(),
            direct_connection() if self.needs_direct_connection else nullcontext(),
        ):
            return super().execute(*args, **options)

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise CommandError for every OpsError, with its message and exit status."""
        try:
            yield
        except InvalidParams as exc:
            message = "\n".join(self.format_error(name, m) for name, ms in exc.errors.items() for m in ms)
            raise CommandError(message, returncode=exc.exit_status) from exc
        except OpsError as exc:
            raise CommandError(str(exc), returncode=exc.exit_status) from exc

    def format_error(self, param: str, message: str) -> str:
        return message if param == NON_FIELD_ERRORS else f"{self.get_flag(param)}: {message}"

    def get_flag(self, param: str) -> str:
        return f"--{param.replace('_', '-')}"

    def write_lines(self, lines: list[str]) -> None:
        self.stdout.write(escape_control_chars("\n".join(lines)))

    def preview_or_execute(self, request: RunRequest, options: Mapping[str, Any]) -> None:
        if options["execute"]:
            run = create_run(replace(request, origin=Origin.COMMAND))
            if run.state == State.AWAITING_APPROVAL:
                self.write_summary(run, options["json"])
                sys.exit(EXIT_AWAITING_APPROVAL)
            self.start_run(run, options["json"])
            return
        preview = build_preview(request)
        if options["json"]:
            self.stdout.write(json.dumps(report_preview.as_json(preview), default=str))
        else:
            arguments = [argument for argument in sys.argv[1:] if argument != "--dry-run"]
            self.write_lines(report_preview.as_lines(preview, manage_command(*arguments, "--execute")))

    def start_run(self, run: Run, as_json: bool) -> None:
        """Execute the run here, or enqueue it for the workers."""
        if run.workers is None:
            self.execute_run(run, as_json)
            return
        warning = enqueue_run(run)
        if as_json:
            self.stdout.write(json.dumps({**run_json.run_document("queued", run), "warning": warning}))
        else:
            self.write_lines(report_run.format_queued(run, warning))

    def execute_run(self, run: Run, as_json: bool) -> None:
        """Execute the run in the foreground; exit with 130 if interrupted, with 1 if it did not succeed."""
        with stop_event() as stop, self.create_reporter(run, as_json) as reporter:
            state = self.run_until_finished(run, reporter, stop)
        self.write_summary(run, as_json)
        if stop.is_set() and state == State.PAUSED:
            sys.exit(EXIT_INTERRUPTED)
        if state != State.SUCCEEDED:
            sys.exit(1)

    def write_summary(self, run: Run, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(run_json.run_document("finished", run)))
        else:
            self.write_lines([*report_run.format_summary(run), *self.get_hints(run)])

    def get_hints(self, run: Run) -> list[str]:
        """Return what else to type after the run."""
        return format_change_hint(run)

    def run_until_finished(self, run: Run, reporter: ProgressReporter, stop: Event) -> State:
        """Execute the run and return its state. Errors that fail the run are stored with it, not raised."""
        try:
            return run_batches(run, reporter, stop)
        except DatabaseUnavailable as exc:
            raise CommandError(
                f"The database is unavailable: {exc}\n"
                "No work is lost. When the database is available again, continue with:"
                f" {manage_command('runs', 'resume', run.pk)}"
            ) from exc
        except (DeclarationChanged, InvalidDeclaration, InvalidParams) as exc:
            if run.state == State.QUEUED:  # No process could ever continue it, and it holds its columns.
                lifecycle.start(run)
                lifecycle.fail(run, str(exc))
            raise
        except Exception:
            if run.state != State.FAILED or "--traceback" in sys.argv:
                raise
            return State.FAILED

    def create_reporter(self, run: Run, as_json: bool) -> ProgressReporter:
        if as_json:
            return JsonLinesReporter(run, sys.stdout)
        if sys.stdout.isatty():
            from ops.report.progress_bar import BarReporter  # rich takes a tenth of a second to import

            return BarReporter(run, sys.stdout)
        return LineReporter(run, sys.stdout)


class OperationCommand(OpsCommand):
    """The command of one operation. ``flags`` maps a param to a flag that differs from its name."""

    operation: ClassVar[str]
    flags: ClassVar[Mapping[str, str]] = {}

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        with self.translate_errors():
            self.help = registry.get_operation(self.operation).summary()
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        add_operation_arguments(parser, registry.get_operation(self.operation), self.flags)

    def get_flag(self, param: str) -> str:
        return self.flags.get(param) or super().get_flag(param)

    def get_operation(self, options: Mapping[str, Any]) -> type[Operation]:
        return registry.get_operation(self.operation)

    def handle(self, **options: Any) -> None:
        self.preview_or_execute(build_run_request(self.get_operation(options), options), options)


def add_operation_arguments(
    parser: ArgumentParser, operation: type[Operation], flags: Mapping[str, str] | None = None
) -> None:
    for name, field in operation.Params.base_fields.items():
        flag = (flags or {}).get(name, f"--{name.replace('_', '-')}")
        help_text = escape_percent(str(field.help_text or field.label or name.replace("_", " ")))
        if isinstance(field, forms.BooleanField):
            parser.add_argument(flag, dest=name, action="store_true", default=None, help=help_text)
        else:
            parser.add_argument(flag, dest=name, required=field.required, metavar="VALUE", help=help_text)
    add_run_arguments(parser)


def add_run_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of a new run that are the same for every operation."""
    add_mode_arguments(parser)
    add_throttle_arguments(parser)
    parser.add_argument(
        "--lanes",
        type=lane_count,
        default=1,
        metavar="N",
        help="Split the key range so that N processes can work at the same time.",
    )
    add_worker_arguments(parser, " (implies at least N lanes)")
    parser.add_argument(
        "--filter",
        action=FilterAction,
        default={},
        type=parse_filter,
        metavar="COLUMN=VALUE",
        help=f"Change only rows with this value: {FILTER_SYNTAX}.",
    )
    add_ignore_health_argument(parser)
    add_no_backup_argument(parser)
    add_performed_by_argument(parser)
    add_json_argument(parser)


def build_run_request(operation: type[Operation], options: Mapping[str, Any], **params: Any) -> RunRequest:
    flags = {name: options[name] for name in operation.Params.base_fields if options.get(name) is not None}
    names = (
        "performed_by",
        "lanes",
        "workers",
        "batch_size",
        "max_rate",
        "max_failures",
        "ignored_health",
        "without_backup",
    )
    scope = Scope(filter=options["filter"])
    execution = {name: options[name] for name in names}
    return RunRequest(operation, params=flags | params, scope=scope, **execution)
