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
from ops.runs import approvals, lifecycle
from ops.runs.cell_conflicts import build_conflict_list
from ops.runs.creation import RunRequest
from ops.runs.next_steps import RunAction
from ops.runs.row_lists import FailedRows
from ops.runs.status import describe_next_step
from ops.states import ACTIVE, UNSUCCESSFUL, State

_VERBS = {
    "show": "Show everything about run N. Exits with 1 if it ended without success.",
    "failures": "List the rows that failed in run N, and why.",
    "conflicts": "List the rows that revert N did not restore: they were changed or deleted after the run.",
    "watch": "Show the progress of run N while it runs elsewhere. Ctrl-C does not stop the run.",
    "resume": "Continue run N, or join it while it runs: in the foreground or on the workers, as before.",
    "pause": "Pause run N after its current batch.",
    "cancel": "Cancel run N after its current batch. Rows that it changed stay changed.",
    "retry": "Try only the failed rows of run N again, in a new run.",
    "revert": "Restore the values that run N replaced, in a new run. Rows changed later stay as they are.",
}
_RUN_CREATING_VERBS = {"retry", "revert"}
_ROW_VERBS = {"failures", "conflicts"}
_THROTTLE_OPTIONS = ("batch_size", "max_rate", "max_failures")
_PERFORMED_BY_VERBS = {"resume", "pause", "cancel"}


class Command(ListCommand):
    help = "List the runs; show, watch, resume, pause, cancel, retry or revert one, or list its rows."
    model, verbs = Run, _VERBS
    header = ["run", "operation", "state", "changed", "done", "failed", "user", "created"]
    empty_message = f"There are no runs yet. To list the operations: {manage_command('operate', '--help')}"

    def format_error(self, param: str, message: str) -> str:
        """Name the param, not a flag: these commands take the params from the run and have no such flags."""
        return message if param in ("run", NON_FIELD_ERRORS) else f"the run's parameter {param}: {message}"

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
            add_performed_by_argument(parser, "application log")
        if verb == "resume":
            group = parser.add_mutually_exclusive_group()
            group.add_argument("--here", action="store_true", help="Execute the run in the foreground.")
            add_worker_arguments(group, " (the number of lanes stays the same)")
            add_throttle_arguments(parser)
            add_ignore_health_argument(parser)

    def handle(self, **options: Any) -> None:
        approvals.expire_due()
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
        self.write_lines(render_rows(run, RunAction.CONFLICTS, build_conflict_list(run), options))

    def watch(self, run: Run, options: Mapping[str, Any]) -> None:
        with stop_event() as stop, self.create_reporter(run, options["json"]) as reporter:
            watch_run(run, reporter, stop)
        if stop.is_set() and run.state in ACTIVE:
            if not options["json"]:
                self.write_lines([f"Run {run.pk} continues.", describe_next_step(run)])
            sys.exit(EXIT_INTERRUPTED)
        self.write_summary(run, options["json"])
        if run.state != State.SUCCEEDED:
            sys.exit(1)

    def resume(self, run: Run, options: Mapping[str, Any]) -> None:
        throttle = {name: options[name] for name in _THROTTLE_OPTIONS if options[name] is not None}
        lifecycle.requeue(run, options["performed_by"], **throttle)
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

    def write_run(self, run: Run, as_json: bool) -> None:
        self.write_lines([json.dumps(run_document("run", run))] if as_json else report.format_summary(run))
