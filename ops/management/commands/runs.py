from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS

from ops import registry, runs
from ops.advice import Verb
from ops.conflicts import Conflicts
from ops.creation import Request
from ops.interrupts import stop_event
from ops.management.arguments import add_ignore_health, add_pace, add_person, add_workers
from ops.management.base import INTERRUPTED, add_run_arguments, request_of
from ops.management.listing import ListCommand
from ops.management.rows import add_page, told_rows
from ops.models import Run
from ops.operations import Revert
from ops.report import run as report
from ops.report.run_json import as_json
from ops.report.watch import watch
from ops.rowlist import FailedRows
from ops.scope import Scope
from ops.states import MOVING, UNWELL, State
from ops.typed import manage

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
_STARTS_A_RUN = {"retry", "revert"}
_ROWS = {"failures", "conflicts"}
_PACE = ("batch_size", "max_rate", "max_failures")
_BY_SOMEBODY = {"resume", "pause", "cancel"}


class Command(ListCommand):
    help = "List the runs; show, watch, resume, pause, cancel, retry or revert one, or list its rows."
    model, verbs = Run, _VERBS
    head = ["run", "operation", "state", "changed", "done", "failed", "asked by", "at"]
    nothing = f"No run yet. To see what can be run: {manage('operate', '--help')}"

    def told_error(self, param: str, message: str) -> str:
        """No verb has a flag for what an operation is asked: it is that of run N, or N itself."""
        return message if param in ("run", NON_FIELD_ERRORS) else f"what was asked for {param}: {message}"

    def line(self, row: Run) -> list[str]:
        return report.line(row)

    def row_json(self, row: Run) -> dict[str, Any]:
        return as_json("run", row)

    def add_verb_arguments(self, parser: ArgumentParser, verb: str) -> None:
        if verb in _STARTS_A_RUN:
            add_run_arguments(parser)
            return
        super().add_verb_arguments(parser, verb)
        if verb in _ROWS:
            add_page(parser)
        if verb in _BY_SOMEBODY:
            add_person(parser)
        if verb == "resume":
            where = parser.add_mutually_exclusive_group()
            where.add_argument("--here", action="store_true", help="Work on it here, in the foreground.")
            add_workers(where, "; its lanes stay as they are")
            add_pace(parser)
            add_ignore_health(parser)

    def handle(self, **options: Any) -> None:
        if not options["verb"]:
            self.list(options)
            return
        run = runs.get(options["number"])
        if options["verb"] == "resume":
            self.resume(run, options)
        elif options["verb"] in _STARTS_A_RUN:
            self.preview_or_execute(getattr(self, options["verb"])(run, options), options)
        else:
            getattr(self, options["verb"])(run, options)

    def show(self, run: Run, options: Mapping[str, Any]) -> None:
        self.tell([json.dumps(as_json("run", run))] if options["json"] else report.whole(run))
        if run.state in (*UNWELL, State.CANCELLED):
            sys.exit(1)

    def failures(self, run: Run, options: Mapping[str, Any]) -> None:
        self.tell(told_rows(run, Verb.FAILURES, FailedRows(run), options))

    def conflicts(self, run: Run, options: Mapping[str, Any]) -> None:
        self.tell(told_rows(run, Verb.CONFLICTS, Conflicts(run), options))

    def watch(self, run: Run, options: Mapping[str, Any]) -> None:
        with stop_event() as stop, self.watcher(run, options["json"]) as watcher:
            watch(run, watcher, stop)
        if stop.is_set() and run.state in MOVING:
            if not options["json"]:
                self.tell([f"Run {run.pk} goes on without you.", report.next_step(run)])
            sys.exit(INTERRUPTED)
        self.tell_end(run, options["json"])
        if run.state != State.SUCCEEDED:
            sys.exit(1)

    def resume(self, run: Run, options: Mapping[str, Any]) -> None:
        pace = {name: options[name] for name in _PACE if options[name] is not None}
        runs.requeue(run, options["performed_by"], **pace)
        runs.ignore_health(run, options["ignored_health"])
        if options["here"] or options["workers"]:
            runs.entrust(run, options["workers"])
        self.begin(run, options["json"])

    def pause(self, run: Run, options: Mapping[str, Any]) -> None:
        runs.pause(run, options["performed_by"])
        self.settled(run, options["json"])

    def cancel(self, run: Run, options: Mapping[str, Any]) -> None:
        runs.cancel(run, options["performed_by"])
        self.settled(run, options["json"])

    def retry(self, run: Run, options: Mapping[str, Any]) -> Request:
        failed = Scope.of_failures(run)
        request = request_of(registry.get(run.operation), options, **run.params)
        return replace(request, scope=replace(failed, filter={**failed.filter, **request.scope.filter}))

    def revert(self, run: Run, options: Mapping[str, Any]) -> Request:
        return request_of(Revert, options, run=run.pk)

    def settled(self, run: Run, machine: bool) -> None:
        self.tell([json.dumps(as_json("run", run))] if machine else report.summary(run))
