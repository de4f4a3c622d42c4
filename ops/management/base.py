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

from ops import registry, runs, words
from ops.creation import Request, create
from ops.db import unhurried
from ops.engine.work import work
from ops.exceptions import ChangedDeclaration, DatabaseAway, InvalidDeclaration, InvalidParams, OpsError
from ops.interrupts import stop_event
from ops.management.arguments import (
    FILTER_FORMS,
    Filters,
    add_ignore_health,
    add_mode,
    add_no_backup,
    add_pace,
    add_person,
    add_workers,
    few,
    literal,
    pair,
)
from ops.models import Run
from ops.operation import Operation
from ops.preview import preview
from ops.queue.bell import ring
from ops.report import preview as report_preview
from ops.report import run as report_run
from ops.report import run_json
from ops.report.watchers import JsonLines, Lines, Watcher
from ops.scope import Scope
from ops.session import direct
from ops.states import State
from ops.typed import manage

INTERRUPTED = 130


class OpsCommand(BaseCommand):
    """A command whose errors are an operator's to read."""

    requires_system_checks = ()
    goes_direct: ClassVar[bool] = False  # past a pooler, where there is one: it needs a session

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
        with self.told_errors(), unhurried(), direct() if self.goes_direct else nullcontext():
            return super().execute(*args, **options)

    @contextmanager
    def told_errors(self) -> Iterator[None]:
        try:
            yield
        except InvalidParams as exc:
            told = "\n".join(self.told_error(name, m) for name, ms in exc.errors.items() for m in ms)
            raise CommandError(told, returncode=exc.exit_status) from exc
        except OpsError as exc:
            raise CommandError(str(exc), returncode=exc.exit_status) from exc

    def told_error(self, param: str, message: str) -> str:
        return message if param == NON_FIELD_ERRORS else f"{self.flag(param)}: {message}"

    def flag(self, param: str) -> str:
        return f"--{param.replace('_', '-')}"

    def tell(self, lines: list[str]) -> None:
        self.stdout.write(words.harmless("\n".join(lines)))

    def preview_or_execute(self, request: Request, options: Mapping[str, Any]) -> None:
        if options["execute"]:
            self.begin(create(request), options["json"])
            return
        seen = preview(request)
        if options["json"]:
            self.stdout.write(json.dumps(report_preview.as_json(seen), default=str))
        else:
            asked = [word for word in sys.argv[1:] if word != "--dry-run"]
            self.tell(report_preview.as_lines(seen, manage(*asked, "--execute")))

    def begin(self, run: Run, as_json: bool) -> None:
        """Work on the run here, or call the workers to it."""
        if run.workers is None:
            self.execute_run(run, as_json)
            return
        warning = ring(run)
        if as_json:
            self.stdout.write(json.dumps({**run_json.as_json("queued", run), "warning": warning}))
        else:
            self.tell(report_run.queued(run, warning))

    def execute_run(self, run: Run, as_json: bool) -> None:
        """Work on the run in the foreground, watched; exits with 130 when interrupted, 1 without success."""
        with stop_event() as stop, self.watcher(run, as_json) as watcher:
            state = self.work(run, watcher, stop)
        self.tell_end(run, as_json)
        if stop.is_set() and state == State.PAUSED:
            sys.exit(INTERRUPTED)
        if state != State.SUCCEEDED:
            sys.exit(1)

    def tell_end(self, run: Run, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(run_json.as_json("finished", run)))
        else:
            self.tell(report_run.summary(run))

    def work(self, run: Run, watcher: Watcher, stop: Event) -> State:
        """Work on the run; the error that failed it is the run's, and told with it."""
        try:
            return work(run, watcher, stop)
        except DatabaseAway as exc:
            raise CommandError(
                f"The database is away: {exc}\n"
                f"Nothing is lost. Once it is back, go on with: {manage('runs', 'resume', run.pk)}"
            ) from exc
        except (ChangedDeclaration, InvalidDeclaration, InvalidParams) as exc:
            if run.state == State.QUEUED:  # nobody can ever go on with it, and it holds its columns
                runs.start(run)
                runs.fail(run, str(exc))
            raise
        except Exception:
            if run.state != State.FAILED or "--traceback" in sys.argv:
                raise
            return State.FAILED

    def watcher(self, run: Run, as_json: bool) -> Watcher:
        if as_json:
            return JsonLines(run, sys.stdout)
        if sys.stdout.isatty():
            from ops.report.bar import Bar  # rich takes a tenth of a second to import

            return Bar(run, sys.stdout)
        return Lines(run, sys.stdout)


class OperationCommand(OpsCommand):
    """The command of one operation; ``flags`` gives a parameter another flag than its own name."""

    operation: ClassVar[str]
    flags: ClassVar[Mapping[str, str]] = {}

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        with self.told_errors():
            self.help = registry.get(self.operation).summary()
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        add_operation_arguments(parser, registry.get(self.operation), self.flags)

    def flag(self, param: str) -> str:
        return self.flags.get(param) or super().flag(param)

    def get_operation(self, options: Mapping[str, Any]) -> type[Operation]:
        return registry.get(self.operation)

    def handle(self, **options: Any) -> None:
        self.preview_or_execute(request_of(self.get_operation(options), options), options)


def add_operation_arguments(
    parser: ArgumentParser, operation: type[Operation], flags: Mapping[str, str] | None = None
) -> None:
    for name, field in operation.Params.base_fields.items():
        flag = (flags or {}).get(name, f"--{name.replace('_', '-')}")
        told = literal(str(field.help_text or field.label or name.replace("_", " ")))
        if isinstance(field, forms.BooleanField):
            parser.add_argument(flag, dest=name, action="store_true", default=None, help=told)
        else:
            parser.add_argument(flag, dest=name, required=field.required, metavar="VALUE", help=told)
    add_run_arguments(parser)


def add_run_arguments(parser: ArgumentParser) -> None:
    """How a run is to be executed, whatever its operation."""
    add_mode(parser)
    add_pace(parser)
    parser.add_argument("--lanes", type=few, default=1, metavar="N", help="For N processes to advance.")
    add_workers(parser, "; as many lanes at least")
    parser.add_argument(
        "--filter",
        action=Filters,
        default={},
        type=pair,
        metavar="COLUMN=VALUE",
        help=f"Only these rows; {FILTER_FORMS}.",
    )
    add_ignore_health(parser)
    add_no_backup(parser)
    add_person(parser)
    parser.add_argument("--json", action="store_true", help="JSON, one object a line.")


def request_of(operation: type[Operation], options: Mapping[str, Any], **params: Any) -> Request:
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
    return Request(operation, params=asked | params, scope=scope, **{name: options[name] for name in how})
