from __future__ import annotations

import json
import sys
from argparse import SUPPRESS
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandParser

from ops import registry, runs
from ops.management.arguments import add_ignore_health, add_pace, add_person, add_workers, positive
from ops.management.base import INTERRUPTED, OpsCommand, add_run_arguments, request_of
from ops.management.signals import stop_event
from ops.models import Run
from ops.operations import Revert
from ops.queue.watch import watch
from ops.report import run as report
from ops.report.table import aligned
from ops.runs import Request
from ops.scope import Scope
from ops.states import MOVING, State

_VERBS = {
    "show": "Everything about run N.",
    "watch": "Look on while run N works elsewhere; Ctrl-C leaves it alone.",
    "resume": "Go on with run N, or join it, the way it was begun: here in the foreground or on the workers.",
    "pause": "Pause run N within a batch.",
    "cancel": "Cancel run N within a batch; what it changed stays changed.",
    "retry": "Try the failed rows of run N again, and only them, in a new run.",
    "revert": "Set back what run N changed, where it still stands so, in a new run.",
}
_STARTS_A_RUN = {"retry", "revert"}
_BY_SOMEBODY = {"resume", "pause", "cancel"}
_HEAD = ["run", "operation", "state", "changed", "done", "failed", "asked by", "at"]


class Command(OpsCommand):
    help = "List the runs; show, watch, resume, pause, cancel, retry or revert one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")
        parser.add_argument("--last", type=positive, default=20, metavar="N", help="How many to list (20).")
        verbs = parser.add_subparsers(dest="verb", metavar="VERB")
        for verb, told in _VERBS.items():
            sub = verbs.add_parser(verb, help=told, description=told, allow_abbrev=False)
            sub.add_argument("number", type=int, metavar="N")
            if verb in _STARTS_A_RUN:
                add_run_arguments(sub)
                continue
            sub.add_argument("--json", action="store_true", default=SUPPRESS, help="JSON, one object a line.")
            if verb in _BY_SOMEBODY:
                add_person(sub)
            if verb == "resume":
                where = sub.add_mutually_exclusive_group()
                where.add_argument("--here", action="store_true", help="Work on it here, in the foreground.")
                add_workers(where, "; its lanes stay as they are")
                add_pace(sub)
                add_ignore_health(sub)

    def handle(self, **options: Any) -> None:
        if not options["verb"]:
            self.list(options["last"], options["json"])
            return
        run = runs.get(options["number"])
        if options["verb"] == "resume":
            self.resume(run, options)
        elif options["verb"] in _STARTS_A_RUN:
            self.preview_or_execute(getattr(self, options["verb"])(run, options), options)
        else:
            getattr(self, options["verb"])(run, options)

    def list(self, last: int, as_json: bool) -> None:
        found = list(Run.objects.order_by("-pk")[:last])
        if as_json:
            for run in found:
                self.stdout.write(json.dumps(report.as_json("run", run)))
        elif not found:
            self.tell(["No run yet. To see what can be run: manage.py operate --help"])
        else:
            self.tell(aligned([_HEAD, *(report.line(run) for run in found)]))

    def show(self, run: Run, options: Mapping[str, Any]) -> None:
        self.tell([json.dumps(report.as_json("run", run))] if options["json"] else report.whole(run))

    def watch(self, run: Run, options: Mapping[str, Any]) -> None:
        as_json = options["json"]
        with stop_event() as stop, self.watcher(run, as_json) as watcher:
            watch(run, watcher, stop)
        if stop.is_set() and run.state in MOVING:
            if not as_json:
                self.tell([f"Run {run.pk} goes on without you.", report.next_step(run)])
            sys.exit(INTERRUPTED)
        self.tell_end(run, as_json)
        if run.state != State.SUCCEEDED:
            sys.exit(1)

    def resume(self, run: Run, options: Mapping[str, Any]) -> None:
        pace = {name: options[name] for name in ("batch_size", "max_rate") if options[name]}
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

    def settled(self, run: Run, as_json: bool) -> None:
        self.tell([json.dumps(report.as_json("run", run))] if as_json else report.summary(run))
