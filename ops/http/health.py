"""/healthz: is the database there, and are its migrations applied."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from threading import Lock
from time import monotonic

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

PATH = "/healthz"
_SECONDS = 2
# Anybody may ask, so asking often must cost nothing.
_REMEMBERED = 2.0


class HealthMiddleware:
    """Answers PATH before anything else is looked at.

    Probes come from inside, over plain HTTP, to an address that is no host name of the site.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.health = Health()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != PATH:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        told = self.health.look()
        status = 200 if told["status"] == "ok" else 503
        return JsonResponse(told, status=status, headers={"Cache-Control": "no-store"})


class Health:
    """Looks, and remembers for a moment what it saw."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.seen: dict[str, str] = {}
        self.until = 0.0

    def look(self) -> dict[str, str]:
        with self.lock:
            if monotonic() >= self.until:
                self.seen = ask()
                self.until = monotonic() + _REMEMBERED
            return self.seen


def ask() -> dict[str, str]:
    """Over a connection of its own, which gives up soon; in words that give nothing away."""
    probe = connection.copy()
    probe.settings_dict["OPTIONS"] = {
        **probe.settings_dict["OPTIONS"],
        "connect_timeout": _SECONDS,
        "tcp_user_timeout": 1000 * _SECONDS,
    }
    try:
        with closing(probe):
            with probe.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(1000 * _SECONDS)])
            executor = MigrationExecutor(probe)
            missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except Error:
        return {"status": "unavailable", "database": "cannot be used"}
    if missing:
        return {"status": "unavailable", "database": "ok", "migrations": f"{missing} not applied"}
    return {"status": "ok", "database": "ok", "migrations": "applied"}
