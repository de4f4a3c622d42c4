"""/healthz: is the database there, with its tables, and are its migrations applied."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Lock
from time import monotonic

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from ops.db import separate_connection, statement_timeout
from ops.formatting import pluralize
from ops.migration_status import count_unapplied, missing_tables

HEALTH_PATH = "/healthz"
_TIMEOUT_SECONDS = 2
# Anybody may ask, so asking often must cost nothing.
_CACHE_SECONDS = 2.0
_UNAVAILABLE = {"status": "unavailable"}


class HealthMiddleware:
    """Answers PATH before anything else is looked at.

    Probes come from inside, over plain HTTP, to an address that is no host name of the site.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.health = CachedHealth()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != HEALTH_PATH:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        told = self.health.look()
        status = 200 if told["status"] == "ok" else 503
        return JsonResponse(told, status=status, headers={"Cache-Control": "no-store"})


class CachedHealth:
    """Looks, and remembers for a moment what it saw."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.seen: dict[str, str] = {}
        self.until = 0.0

    def look(self) -> dict[str, str]:
        with self.lock:
            if monotonic() >= self.until:
                self.seen = probe_database()
                self.until = monotonic() + _CACHE_SECONDS
            return self.seen


def probe_database() -> dict[str, str]:
    """Over a connection of its own, which gives up soon; in words that give nothing away."""
    try:
        with separate_connection(
            "healthz", connect_timeout=_TIMEOUT_SECONDS, tcp_user_timeout=1000 * _TIMEOUT_SECONDS
        ) as probe:
            return _probe_schema(probe)
    except Error:
        return {**_UNAVAILABLE, "database": "cannot be used"}


def _probe_schema(probe: BaseDatabaseWrapper) -> dict[str, str]:
    # What is set beyond a transaction would stay, behind a pooler, on a connection that others share.
    with statement_timeout(timedelta(seconds=_TIMEOUT_SECONDS), probe.alias):
        if unapplied := count_unapplied(probe):
            return {**_UNAVAILABLE, "database": "ok", "migrations": f"{unapplied} not applied"}
        if missing := missing_tables(probe):
            told = f"{pluralize(len(missing), 'table')} missing"
            return {**_UNAVAILABLE, "database": told, "migrations": "applied"}
    return {"status": "ok", "database": "ok", "migrations": "applied"}
