from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from threading import Event
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import close_old_connections
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ops.formatting import escape_control_chars
from ops.interrupts import stop_event
from ops.management.arguments import add_json_argument
from ops.management.base import OpsCommand
from ops.report import queues
from ops.stats import queues as stats
from ops.stats.queues import SystemStats

_REFRESH_SECONDS = 2.0


class Command(OpsCommand):
    help = "Show the jobs of the queues, the workers, and the progress of the active runs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", action="store_true", help="Repeat every two seconds, until Ctrl-C.")
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        if options["watch"]:
            with stop_event() as stop:
                self.watch(options["json"], stop)
            return
        system = stats.read_stats()
        self.show(system, options["json"])
        if system.errors:
            raise CommandError(escape_control_chars("\n".join(system.errors.values())))

    def watch(self, as_json: bool, stop: Event) -> None:
        """Show the statistics repeatedly, with errors; on a terminal, redraw them in place."""
        in_place = sys.stdout.isatty() and not as_json
        with Live(auto_refresh=False) if in_place else nullcontext() as live:
            while not stop.is_set():
                system = stats.read_stats()
                if live:
                    live.update(_render_with_errors(system), refresh=True)
                else:
                    self.show(system, as_json)
                close_old_connections()  # so that a lost connection is opened again
                stop.wait(_REFRESH_SECONDS)

    def show(self, system: SystemStats, as_json: bool) -> None:
        if as_json:
            print(json.dumps(stats.as_json(system)), flush=True)
        else:
            Console().print(queues.build_page(system))


def _render_with_errors(system: SystemStats) -> Group:
    errors = (Text(escape_control_chars(error), "yellow") for error in system.errors.values())
    return Group(queues.build_page(system), *errors)
