from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django_rq.management.commands import rqworker


class Command(rqworker.Command):
    """django-rq's command, with an error instead of a traceback for an unknown queue."""

    help = "Execute queued runs and exports until stopped."

    def handle(self, *args: str, **options: Any) -> None:
        queues = ", ".join(settings.RQ_QUEUES)
        for name in args:
            if name not in settings.RQ_QUEUES:
                raise CommandError(f"There is no queue {name!r}; the queues: {queues}.", returncode=2)
        super().handle(*args, **options)  # type: ignore[no-untyped-call]
