from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS

from ops.command_lines import manage_command
from ops.interrupts import stop_event
from ops.management.arguments import (
    add_ignore_health_argument,
    add_performed_by_argument,
    add_throttle_arguments,
    add_worker_arguments,
)
from ops.management.base import EXIT_INTERRUPTED, add_run_arguments, build_run_request
from ops.management.listing import ListCommand
from ops.management.rows import add_page_arguments, render_rows
from ops.models import Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.report import run as report
from ops.report.remote_watcher import watch_run
from ops.report.run_json import run_document
from ops.runs import lifecycle
from ops.runs.conflicts import ConflictList
from ops.runs.creation import RunRequest
from ops.runs.next_steps import RunAction
from ops.runs.row_lists import FailedRows
from ops.states import ACTIVE, UNSUCCESSFUL, State

_VERBS = {
    "show": "Everything about run N; exits with 1 where it has ended and not succeeded.",
    "failures": "The rows that failed in run N, and why.",
    "conflicts": "The rows that the revert N left alone, since they were changed meanwhile.",
    "watch": "Look on while run N works elsewhere; Ctrl-C leaves it alone.",
    "resume": "Go on with run N, or join it, the way it was begun: here in the foreground or on the workers.",
    "pause": "Pause run N within a batch.",
    "cancel": "Cancel run N within a batch; what it changed stays changed.",
    "retry": "Try the failed rows of run N again, and only them, in a new run.",
    "revert": "Set back what run N changed, where it still stands so, in a new run.",
}
_RUN_CREATING_VERBS = {"retry", "revert"}
_ROW_VERBS = {"failures", "conflicts"}
_THROTTLE_OPTIONS = ("batch_size", "max_rate", "max_failures")
_PERFORMED_BY_VERBS = {"resume", "pause", "cancel"}


class Command(ListCommand):
    help = "List the runs; show, watch, resume, pause, cancel, retry or revert one, or list its rows."
    model, verbs = Run, _VERBS
    header = ["run", "operation", "state", "changed", "done", "failed", "asked by", "at"]
    empty_message = f"No run yet. To see what can be run: {manage_command('operate', '--help')}"

    def format_error(self, param: str, message: str) -> str:
        """No verb has a flag for what an operation is asked: it is that of run N, or N itself."""
        return message if param in ("run", NON_FIELD_ERRORS) else f"what was asked for {param}: {message}"

    def format_row(self, row: Run) -> list[str]:
        return report.format_row(row)

    def row_to_json(self, row: Run) -> dict[str, Any]:
        return run_document("run", row)

    def add_verb_arguments(self, parser: ArgumentParser, verb: str) -> None:
        if verb in _RUN_CREATING_VERBS:
            add_run_arguments(parser)
            return
        super().add_verb_arguments(parser, verb)
        if verb in _ROW_VERBS:
            add_page_arguments(parser)
        if verb in _PERFORMED_BY_VERBS:
            add_performed_by_argument(parser)
        if verb == "resume":
            where = parser.add_mutually_exclusive_group()
            where.add_argument("--here", action="store_true", help="Work on it here, in the foreground.")
            add_worker_arguments(where, "; its lanes stay as they are")
            add_throttle_arguments(parser)
            add_ignore_health_argument(parser)

    def handle(self, **options: Any) -> None:
        if not options["verb"]:
            self.list_rows(options)
            return
        run = lifecycle.get_run(options["number"])
        if options["verb"] == "resume":
            self.resume(run, options)
        elif options["verb"] in _RUN_CREATING_VERBS:
            self.preview_or_execute(getattr(self, options["verb"])(run, options), options)
        else:
            getattr(self, options["verb"])(run, options)

    def show(self, run: Run, options: Mapping[str, Any]) -> None:
        self.write_lines(
            [json.dumps(run_document("run", run))] if options["json"] else report.format_details(run)
        )
        if run.state in (*UNSUCCESSFUL, State.CANCELLED):
            sys.exit(1)

    def failures(self, run: Run, options: Mapping[str, Any]) -> None:
        self.write_lines(render_rows(run, RunAction.FAILURES, FailedRows(run), options))

    def conflicts(self, run: Run, options: Mapping[str, Any]) -> None:
        self.write_lines(render_rows(run, RunAction.CONFLICTS, ConflictList(run), options))

    def watch(self, run: Run, options: Mapping[str, Any]) -> None:
        with stop_event() as stop, self.create_reporter(run, options["json"]) as watcher:
            watch_run(run, watcher, stop)
        if stop.is_set() and run.state in ACTIVE:
            if not options["json"]:
                self.write_lines([f"Run {run.pk} goes on without you.", report.format_next_step(run)])
            sys.exit(EXIT_INTERRUPTED)
        self.write_summary(run, options["json"])
        if run.state != State.SUCCEEDED:
            sys.exit(1)

    def resume(self, run: Run, options: Mapping[str, Any]) -> None:
        pace = {name: options[name] for name in _THROTTLE_OPTIONS if options[name] is not None}
        lifecycle.requeue(run, options["performed_by"], **pace)
        lifecycle.ignore_health(run, options["ignored_health"])
        if options["here"] or options["workers"]:
            lifecycle.assign_workers(run, options["workers"])
        self.start_run(run, options["json"])

    def pause(self, run: Run, options: Mapping[str, Any]) -> None:
        lifecycle.pause(run, options["performed_by"])
        self.write_run(run, options["json"])

    def cancel(self, run: Run, options: Mapping[str, Any]) -> None:
        lifecycle.cancel(run, options["performed_by"])
        self.write_run(run, options["json"])

    def retry(self, run: Run, options: Mapping[str, Any]) -> RunRequest:
        failed = Scope.of_failures(run)
        request = build_run_request(registry.get_operation(run.operation), options, **run.params)
        return replace(request, scope=replace(failed, filter={**failed.filter, **request.scope.filter}))

    def revert(self, run: Run, options: Mapping[str, Any]) -> RunRequest:
        return build_run_request(Revert, options, run=run.pk)

    def write_run(self, run: Run, machine: bool) -> None:
        self.write_lines([json.dumps(run_document("run", run))] if machine else report.format_summary(run))
