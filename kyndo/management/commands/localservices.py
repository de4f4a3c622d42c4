"""Manage the local PostgreSQL and Valkey of a development checkout."""

import os
import shlex
import sys
from argparse import ArgumentParser
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kyndo.localservices.binaries import find_postgres_bin
from kyndo.localservices.errors import LocalServiceError
from kyndo.localservices.services import LocalServices
from ops.command_lines import manage_command

ACTIONS = {
    "start": "start both, unless they are running",
    "stop": "stop both; the data are kept",
    "status": "show whether they are running; exits with 1 if one is not",
    "env": 'print DATABASE_URL, REDIS_URL and PATH for eval "$(manage.py localservices env)"',
    "remove": "stop both and delete their data",
}


class Command(BaseCommand):
    help = "Manage PostgreSQL and Valkey for development, on free ports of 127.0.0.1, with data under var/."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, text in ACTIONS.items():
            actions.add_parser(name, help=text)

    def handle(self, *, action: str, **options: object) -> None:
        self.services = LocalServices(settings.LOCAL_SERVICES_ROOT, os.environ)
        try:
            getattr(self, action)()
        except (LocalServiceError, OSError) as exc:
            raise CommandError(str(exc)) from exc

    def start(self) -> None:
        for server in self.services.managed.values():
            verb = "started" if server.start() else "is already running"
            self.stdout.write(f"{server.title} {verb} on {_format_address(server.url)}")
        self._write_external()

    def stop(self) -> None:
        for server in self.services.managed.values():
            self.stdout.write(f"{server.title} {'stopped' if server.stop() else 'was not running'}")
        self._write_external()

    def status(self) -> None:
        is_down = False
        for server in self.services.managed.values():
            if server.is_running():
                self.stdout.write(
                    f"{server.title} is running on {_format_address(server.url)}, data in {server.data}"
                )
            else:
                is_down = True
                self.stdout.write(f"{server.title} is not running")
        self._write_external()
        if is_down:
            self.stdout.write(f"Type: {manage_command('localservices', 'start')}")
            sys.exit(1)

    def env(self) -> None:
        for name, url in self.services.get_urls().items():
            self.stdout.write(f"export {name}={shlex.quote(url)}")
        self.stdout.write(f'export PATH={shlex.quote(str(find_postgres_bin(18)))}:"$PATH"')

    def remove(self) -> None:
        self.services.remove()
        self.stdout.write("PostgreSQL and Valkey stopped, their data deleted")

    def _write_external(self) -> None:
        for variable in self.services.servers:
            if url := self.services.get_external_url(variable):
                self.stdout.write(
                    f"{variable} is set to {_format_address(url)}: that server is used, not a local one"
                )


def _format_address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"
