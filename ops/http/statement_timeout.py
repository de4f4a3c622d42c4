"""A limit for every SQL statement of a page, so that no address in a browser keeps the database busy."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ops.db import limit_statements


class StatementTimeoutMiddleware:
    """Cancel statements after OPS_PAGE_STATEMENT_TIMEOUT. DatabaseErrorMiddleware answers in words."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.OPS_PAGE_STATEMENT_TIMEOUT is None:
            return self.get_response(request)
        with limit_statements(settings.OPS_PAGE_STATEMENT_TIMEOUT):
            return self.get_response(request)
