from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from ops import runs
from ops.management.base import OpsCommand
from ops.models import Run
from ops.report import run as report

_HEAD = ["run", "operation", "state", "changed", "done", "failed", "asked by", "at"]


class Command(OpsCommand):
    help = "List the runs, or show, resume, pause or cancel one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON, one object a line.")
        parser.add_argument("--last", type=int, default=20, metavar="N", help="How many to list (20).")
        verbs = parser.add_subparsers(dest="verb", metavar="VERB")
        for verb, told in {
            "show": "Everything about run N.",
            "resume": "Go on with run N, or join it, here in the foreground.",
            "pause": "Pause run N within a batch.",
            "cancel": "Cancel run N within a batch; what it changed stays changed.",
        }.items():
            sub = verbs.add_parser(verb, help=told, description=told)
            sub.add_argument("run", type=int, metavar="N")
            sub.add_argument("--json", action="store_true", help="JSON, one object a line.")

    def handle(self, **options: Any) -> None:
        if not options["verb"]:
            self.list(options["last"], options["json"])
            return
        getattr(self, options["verb"])(runs.get(options["run"]), options["json"])

    def list(self, last: int, as_json: bool) -> None:
        found = list(Run.objects.order_by("-pk")[:last])
        if as_json:
            for run in found:
                self.stdout.write(json.dumps(report.as_json("run", run)))
        elif not found:
            self.tell(["No run yet. To see what can be run: manage.py operate --help"])
        else:
            self.tell(aligned([_HEAD, *(report.line(run) for run in found)]))

    def show(self, run: Run, as_json: bool) -> None:
        self.tell([json.dumps(report.as_json("run", run))] if as_json else report.whole(run))

    def resume(self, run: Run, as_json: bool) -> None:
        runs.requeue(run)
        self.execute_run(run, as_json)

    def pause(self, run: Run, as_json: bool) -> None:
        runs.pause(run)
        self.settled(run, as_json)

    def cancel(self, run: Run, as_json: bool) -> None:
        runs.cancel(run)
        self.settled(run, as_json)

    def settled(self, run: Run, as_json: bool) -> None:
        self.tell([json.dumps(report.as_json("run", run))] if as_json else report.summary(run))


def aligned(table: list[list[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
