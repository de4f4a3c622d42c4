"""/healthz: is the database there, with its tables, and are its migrations applied."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Lock
from time import monotonic

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from ops import words
from ops.db import beside, impatient
from ops.standing import count_unapplied, missing_tables

PATH = "/healthz"
_SECONDS = 2
# Anybody may ask, so asking often must cost nothing.
_REMEMBERED = 2.0
_UNAVAILABLE = {"status": "unavailable"}


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
    try:
        with beside("healthz", connect_timeout=_SECONDS, tcp_user_timeout=1000 * _SECONDS) as probe:
            return _asked(probe)
    except Error:
        return {**_UNAVAILABLE, "database": "cannot be used"}


def _asked(probe: BaseDatabaseWrapper) -> dict[str, str]:
    # What is set beyond a transaction would stay, behind a pooler, on a connection that others share.
    with impatient(timedelta(seconds=_SECONDS), probe.alias):
        if unapplied := count_unapplied(probe):
            return {**_UNAVAILABLE, "database": "ok", "migrations": f"{unapplied} not applied"}
        if missing := missing_tables(probe):
            told = f"{words.plural(len(missing), 'table')} missing"
            return {**_UNAVAILABLE, "database": told, "migrations": "applied"}
    return {"status": "ok", "database": "ok", "migrations": "applied"}
