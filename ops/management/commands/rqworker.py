import re
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django_rq import get_connection
from django_rq.management.commands import rqworker
from redis import RedisError

from ops.formatting import first_line
from ops.queue.liveness import QUEUE_NAME


class Command(rqworker.Command):
    """django-rq's command, with plain errors for an unknown queue and for a Redis that cannot be reached."""

    help = "Execute queued runs and exports until stopped."

    def handle(self, *args: str, **options: Any) -> None:
        queues = ", ".join(settings.RQ_QUEUES)
        for name in args:
            if name not in settings.RQ_QUEUES:
                raise CommandError(f"There is no queue {name!r}; the queues: {queues}.", returncode=2)
        for name in args or (QUEUE_NAME,):
            _check_redis(name)
        super().handle(*args, **options)  # type: ignore[no-untyped-call]


def _check_redis(queue: str) -> None:
    """Raise CommandError if Redis cannot be reached: django-rq would print its client's message and exit."""
    connection = get_connection(queue)
    try:
        connection.ping()
    except RedisError as exc:
        options = connection.connection_pool.connection_kwargs
        address = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        reason = re.sub(r"^Error -?\d+ connecting to \S+ ", "", first_line(exc)).rstrip(".")
        raise CommandError(
            f"Redis cannot be reached at {address}: {reason[:1].lower()}{reason[1:]}."
            " Check REDIS_URL and the server."
        ) from exc
