"""Sessions that end when nobody has used them for a while."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ops.admin.live.live_page import LIVE_VIEW

# Not at each request, so that a page of many requests writes its session once.
_MAX_SECONDS_BETWEEN_RENEWALS = 60
_RENEWED_AT = "renewed_at"


class IdleSessionMiddleware:
    """Renew a session, which lasts for SESSION_COOKIE_AGE, when its user requests a page.

    A page that refreshes itself renews nothing: it stays open on a desk that everybody has left. Nor does a
    request that never looked at its session, such as that of a picture.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.session.accessed and not request.session.is_empty() and not _is_refresh(request):
            _renew(request)
        return response


def _is_refresh(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and (match.url_name or "").endswith(f"_{LIVE_VIEW}")


def _renew(request: HttpRequest) -> None:
    interval = min(_MAX_SECONDS_BETWEEN_RENEWALS, settings.SESSION_COOKIE_AGE / 10)
    now = time.time()
    if abs(now - request.session.get(_RENEWED_AT, 0)) >= interval:  # a clock may have been set back
        request.session[_RENEWED_AT] = now
