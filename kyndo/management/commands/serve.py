"""The site and its workers in the foreground, for development."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from functools import partial

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from kyndo.localservices.ports import find_free_port, is_port_in_use
from kyndo.supervisor import run_processes
from ops.command_lines import manage_command

_MAX_WORKERS = 64


def parse_port(text: str) -> int:
    """Parse a TCP port, for argparse."""
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise ArgumentTypeError(f"{text!r} is not a port: type 1 to 65535")
    return int(text)


def parse_worker_count(text: str) -> int:
    """Parse a number of workers, for argparse."""
    if not (text.isdecimal() and 1 <= int(text) <= _MAX_WORKERS):
        raise ArgumentTypeError(f"{text!r} is not a number of workers: type 1 to {_MAX_WORKERS}")
    return int(text)


def iter_worker_commands(count: int) -> Iterator[tuple[str, list[str]]]:
    """Yield the title and the arguments of each worker."""
    for number in range(1, count + 1):
        yield "The worker" if count == 1 else f"Worker {number}", ["rqworker", "default"]


class Command(BaseCommand):
    help = "Run the site and its workers in the foreground. Ctrl-C stops them; if one ends, all are stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=parse_port, help="Port on 127.0.0.1 (default: 8000 if free, else another)."
        )

        parser.add_argument(
            "--workers",
            type=parse_worker_count,
            default=1,
            metavar="N",
            help="Number of workers (default: 1).",
        )

    def handle(self, *, port: int | None, workers: int, **options: object) -> None:
        chosen = find_free_port(port or 8000)
        if port and chosen != port:
            raise CommandError(
                f"Port {port} of 127.0.0.1 is in use or not permitted. Type another one, or omit --port."
            )
        has_login = get_user_model().objects.filter(is_superuser=True).exists()
        ended = run_processes(
            {"The site": ["runserver", f"127.0.0.1:{chosen}"], **dict(iter_worker_commands(workers))},
            ready=partial(is_port_in_use, chosen),
            announce=partial(self.write_address, chosen, has_login),
        )
        if ended:
            raise CommandError(f"{ended}, so everything was stopped.")

    def write_address(self, port: int, has_login: bool) -> None:
        self.stdout.write(f"\nThe site: http://127.0.0.1:{port}/admin/    Ctrl-C stops it and its workers.")
        if not has_login:
            self.stdout.write(
                f"To create a login, type in another terminal: {manage_command('createsuperuser')}"
            )
        self.stdout.flush()
