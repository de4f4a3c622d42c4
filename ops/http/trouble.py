"""A page instead of a 500 where the database is away, refuses to write, or takes too long."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

from ops.patience import is_away
from ops.sqlstates import READ_ONLY, sqlstate
from ops.trouble import is_told

log = logging.getLogger(__name__)

_RETRY_SECONDS = 30
_READ_ONLY = "The database cannot be written at the moment: nothing was changed."
_TOO_LONG = "The database took too long for a page, or refused it: nothing was changed."
_AWAY = "The database does not answer at the moment."


class TroubleMiddleware:
    """Tells who sees the page no more than that: the server and its words go to the log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return trouble_page(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Of what is raised beside the views, as where a session is saved."""
    page = trouble_page(request, sys.exc_info()[1])
    return page or defaults.server_error(request)


def trouble_page(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """503 with a page in words; None for an error of another kind."""
    if not isinstance(error, Error) or not (is_told(error) or is_away(error)):
        return None
    log.error("%s: %s", request.path, str(error).strip())
    page = render(request, "ops/trouble.html", {"told": _words(error)}, status=503)
    page["Retry-After"] = str(_RETRY_SECONDS)
    page["Cache-Control"] = "no-store"
    return page


def _words(error: Error) -> str:
    if sqlstate(error) == READ_ONLY:
        return _READ_ONLY
    return _TOO_LONG if is_told(error) else _AWAY
