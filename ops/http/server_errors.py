"""A page with status 503 where the database is unavailable, read-only or too slow."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ops.retries import is_unavailable
from ops.server_errors import is_server_error
from ops.sqlstates import QUERY_CANCELED, READ_ONLY_TRANSACTION, sqlstate

log = logging.getLogger(__name__)

_RETRY_AFTER_SECONDS = 30
_READ_ONLY_MESSAGE = "The database is read-only at the moment. Nothing was changed."
_REFUSED_MESSAGE = "The database took too long, or refused the request. Nothing was changed."
_TIMEOUT_MESSAGE = (
    "The database took too long for this page, so the request was cancelled. Nothing was changed."
    " A narrower search or filter takes less time."
)
_UNAVAILABLE_MESSAGE = "The database does not answer at the moment."


class DatabaseErrorMiddleware:
    """Show a page that discloses nothing: the address of the server and the error go to the log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return database_error_page(request, exception)


def database_error_page(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """Return a page with status 503; None where ``error`` is not an error of the database server."""
    if not isinstance(error, Error) or not (is_server_error(error) or is_unavailable(error)):
        return None
    log.error("%s: %s", request.path, str(error).strip())
    page = render(request, "ops/trouble.html", {"message": _error_message(error)}, status=503)
    page["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    page["Cache-Control"] = "no-store"
    return page


def _error_message(error: Error) -> str:
    if sqlstate(error) == READ_ONLY_TRANSACTION:
        return _READ_ONLY_MESSAGE
    if sqlstate(error) == QUERY_CANCELED:
        return _TIMEOUT_MESSAGE
    return _REFUSED_MESSAGE if is_server_error(error) else _UNAVAILABLE_MESSAGE
