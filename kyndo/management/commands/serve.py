"""The site and one worker in the foreground, for development."""

from argparse import ArgumentParser

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from kyndo.localservices.ports import free_port
from kyndo.supervisor import run_together


class Command(BaseCommand):
    help = (
        "Run the site and one worker in the foreground. Ctrl-C stops both; when one ends, so does the other."
    )
    requires_system_checks = []  # runserver makes them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=int, help="port of 127.0.0.1 (default: 8000 if free, else another)"
        )

    def handle(self, *, port: int | None, **options: object) -> None:
        port = port or free_port(8000)
        self.stdout.write(f"\nThe site: http://127.0.0.1:{port}/admin/    Ctrl-C stops it and its worker.")
        if not get_user_model().objects.filter(is_superuser=True).exists():
            self.stdout.write(
                "A login, typed in another terminal: .venv/bin/python manage.py createsuperuser"
            )
        self.stdout.flush()
        ended = run_together(
            {"The site": ["runserver", f"127.0.0.1:{port}"], "The worker": ["rqworker", "default"]}
        )
        if ended:
            raise CommandError(f"{ended}, so everything was stopped.")
