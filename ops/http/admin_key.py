"""The operators' key, asked of whoever calls their endpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

View = Callable[[HttpRequest], HttpResponse]


def require_admin_key(view: View) -> View:
    """Only for who sends ADMIN_KEY, as ``x-admin-key`` or ``Authorization: Bearer``; never cached."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        given = _read_key(request)
        if not given:
            refusal = JsonResponse({"error": "Send the key in the header x-admin-key."}, status=401)
            refusal["WWW-Authenticate"] = "Bearer"
            return refusal
        if not constant_time_compare(given, settings.ADMIN_KEY.encode()):
            return JsonResponse({"error": "The key is not the one of this site."}, status=403)
        return view(request)

    return csrf_exempt(never_cache(require_safe(guarded)))


def _read_key(request: HttpRequest) -> bytes:
    """The bytes as they were sent: WSGI tells headers as Latin-1."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    given: str = request.headers.get("x-admin-key", "") or bearer
    return given.encode("latin-1", "backslashreplace")
