"""What every command of an operation shares: its flags, its preview, its execution, its errors."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
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
    add_mode_arguments,
    add_no_backup_argument,
    add_performed_by_argument,
    add_throttle_arguments,
    add_worker_arguments,
    escape_percent,
    lane_count,
    parse_filter,
)
from ops.models import Run
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.scope import Scope
from ops.queue.enqueue import enqueue_run
from ops.report import preview as report_preview
from ops.report import run as report_run
from ops.report import run_json
from ops.report.reporters import JsonLinesReporter, LineReporter, ProgressReporter
from ops.runs import lifecycle
from ops.runs.creation import RunRequest, create_run
from ops.runs.preview import build_preview
from ops.session import direct_connection
from ops.states import State

EXIT_INTERRUPTED = 130


class OpsCommand(BaseCommand):
    """A command whose errors are an operator's to read."""

    requires_system_checks = (TAG,)
    needs_direct_connection: ClassVar[bool] = False  # past a pooler, where there is one: it needs a session

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # ``--exec`` is not the same as ``--execute``: nothing is done on half a word.
        return super().create_parser(prog_name, subcommand, **{"allow_abbrev": False, **kwargs})

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except CommandError as exc:  # raised before there was a parser, or by it: Django catches later ones
            if "--traceback" in argv:
                raise
            self.stderr.write(f"CommandError: {exc}")
            sys.exit(exc.returncode)

    def execute(self, *args: Any, **options: Any) -> str | None:
        with (
            self.translate_errors(),
            without_timeouts(),
            direct_connection() if self.needs_direct_connection else nullcontext(),
        ):
            return super().execute(*args, **options)

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        try:
            yield
        except InvalidParams as exc:
            told = "\n".join(self.format_error(name, m) for name, ms in exc.errors.items() for m in ms)
            raise CommandError(told, returncode=exc.exit_status) from exc
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
            self.start_run(create_run(request), options["json"])
            return
        seen = build_preview(request)
        if options["json"]:
            self.stdout.write(json.dumps(report_preview.as_json(seen), default=str))
        else:
            asked = [word for word in sys.argv[1:] if word != "--dry-run"]
            self.write_lines(report_preview.as_lines(seen, manage_command(*asked, "--execute")))

    def start_run(self, run: Run, as_json: bool) -> None:
        """Work on the run here, or call the workers to it."""
        if run.workers is None:
            self.execute_run(run, as_json)
            return
        warning = enqueue_run(run)
        if as_json:
            self.stdout.write(json.dumps({**run_json.run_document("queued", run), "warning": warning}))
        else:
            self.write_lines(report_run.format_queued(run, warning))

    def execute_run(self, run: Run, as_json: bool) -> None:
        """Work on the run in the foreground, watched; exits with 130 when interrupted, 1 without success."""
        with stop_event() as stop, self.create_reporter(run, as_json) as watcher:
            state = self.run_until_finished(run, watcher, stop)
        self.write_summary(run, as_json)
        if stop.is_set() and state == State.PAUSED:
            sys.exit(EXIT_INTERRUPTED)
        if state != State.SUCCEEDED:
            sys.exit(1)

    def write_summary(self, run: Run, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(run_json.run_document("finished", run)))
        else:
            self.write_lines(report_run.format_summary(run))

    def run_until_finished(self, run: Run, watcher: ProgressReporter, stop: Event) -> State:
        """Work on the run; the error that failed it is the run's, and told with it."""
        try:
            return run_batches(run, watcher, stop)
        except DatabaseUnavailable as exc:
            raise CommandError(
                f"The database is unavailable: {exc}\n"
                f"Nothing is lost. Once it is back, go on with: {manage_command('runs', 'resume', run.pk)}"
            ) from exc
        except (DeclarationChanged, InvalidDeclaration, InvalidParams) as exc:
            if run.state == State.QUEUED:  # nobody can ever go on with it, and it holds its columns
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
    """The command of one operation; ``flags`` gives a parameter another flag than its own name."""

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
        told = escape_percent(str(field.help_text or field.label or name.replace("_", " ")))
        if isinstance(field, forms.BooleanField):
            parser.add_argument(flag, dest=name, action="store_true", default=None, help=told)
        else:
            parser.add_argument(flag, dest=name, required=field.required, metavar="VALUE", help=told)
    add_run_arguments(parser)


def add_run_arguments(parser: ArgumentParser) -> None:
    """How a run is to be executed, whatever its operation."""
    add_mode_arguments(parser)
    add_throttle_arguments(parser)
    parser.add_argument(
        "--lanes", type=lane_count, default=1, metavar="N", help="For N processes to advance."
    )
    add_worker_arguments(parser, "; as many lanes at least")
    parser.add_argument(
        "--filter",
        action=FilterAction,
        default={},
        type=parse_filter,
        metavar="COLUMN=VALUE",
        help=f"Only these rows; {FILTER_SYNTAX}.",
    )
    add_ignore_health_argument(parser)
    add_no_backup_argument(parser)
    add_performed_by_argument(parser)
    parser.add_argument("--json", action="store_true", help="JSON, one object a line.")


def build_run_request(operation: type[Operation], options: Mapping[str, Any], **params: Any) -> RunRequest:
    asked = {name: options[name] for name in operation.Params.base_fields if options.get(name) is not None}
    how = (
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
    return RunRequest(operation, params=asked | params, scope=scope, **{name: options[name] for name in how})
