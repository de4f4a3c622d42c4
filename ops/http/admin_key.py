"""The check of ADMIN_KEY, which the operators' endpoints require."""

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
    """Require ADMIN_KEY, as ``x-admin-key`` or ``Authorization: Bearer``; never cache the response.

    Responds with 401 where no key was sent, 403 where it is a wrong one.
    """

    @wraps(view)
    def wrapper(request: HttpRequest) -> HttpResponse:
        key = _read_key(request)
        if not key:
            response = JsonResponse({"error": "Send ADMIN_KEY in the header x-admin-key."}, status=401)
            response["WWW-Authenticate"] = "Bearer"
            return response
        if not constant_time_compare(key, settings.ADMIN_KEY.encode()):
            return JsonResponse({"error": "The key is wrong: send the ADMIN_KEY of this site."}, status=403)
        return view(request)

    return csrf_exempt(never_cache(require_safe(wrapper)))


def _read_key(request: HttpRequest) -> bytes:
    """Return the bytes as they were sent: WSGI decodes headers as Latin-1."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    key: str = request.headers.get("x-admin-key", "") or bearer
    return key.encode("latin-1", "backslashreplace")
