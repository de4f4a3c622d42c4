"""/healthz: whether the database answers, has its tables, and has its migrations applied."""

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
# Anyone may send requests, so frequent requests must cost nothing.
_CACHE_SECONDS = 2.0
_UNAVAILABLE = {"status": "unavailable"}


class HealthMiddleware:
    """Answer HEALTH_PATH before all other middleware.

    Probes come from the internal network, over plain HTTP, to an address that is not in ALLOWED_HOSTS.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.health = CachedHealth()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != HEALTH_PATH:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        health = self.health.cached_status()
        status = 200 if health["status"] == "ok" else 503
        return JsonResponse(health, status=status, headers={"Cache-Control": "no-store"})


class CachedHealth:
    """The status of the database, read again once it is older than _CACHE_SECONDS."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.status: dict[str, str] = {}
        self.expires_at = 0.0

    def cached_status(self) -> dict[str, str]:
        with self.lock:
            if monotonic() >= self.expires_at:
                self.status = probe_database()
                self.expires_at = monotonic() + _CACHE_SECONDS
            return self.status


def probe_database() -> dict[str, str]:
    """Probe over a connection of its own, with short timeouts; disclose no address and no error."""
    try:
        with separate_connection(
            "healthz", connect_timeout=_TIMEOUT_SECONDS, tcp_user_timeout=1000 * _TIMEOUT_SECONDS
        ) as probe:
            return _probe_schema(probe)
    except Error:
        return {**_UNAVAILABLE, "database": "cannot be used"}


def _probe_schema(probe: BaseDatabaseWrapper) -> dict[str, str]:
    # In a transaction: behind a pooler, settings of the session would stay on a shared connection.
    with statement_timeout(timedelta(seconds=_TIMEOUT_SECONDS), probe.alias):
        if unapplied := count_unapplied(probe):
            return {**_UNAVAILABLE, "database": "ok", "migrations": f"{unapplied} not applied"}
        if missing := missing_tables(probe):
            message = f"{pluralize(len(missing), 'table')} missing"
            return {**_UNAVAILABLE, "database": message, "migrations": "applied"}
    return {"status": "ok", "database": "ok", "migrations": "applied"}
