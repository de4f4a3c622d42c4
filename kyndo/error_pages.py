"""The pages of errors: within the admin for those who are signed in to it, bare for everybody else."""

from __future__ import annotations

import logging
import sys
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ops.http.server_errors import database_error_page

log = logging.getLogger(__name__)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _render(request, "400.html", 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _render(request, "403.html", 403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    log.warning("%s: %s", request.path, reason)
    return _render(request, "403_csrf.html", 403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Show what a view says is missing; Django's own exception names patterns of URLs."""
    said = exception.args[0] if exception.args else ""
    return _render(request, "404.html", 404, missing=said if isinstance(said, str) else "")


def server_error(request: HttpRequest) -> HttpResponse:
    """Handle also what is raised outside the views, as where a session is saved."""
    page = database_error_page(request, sys.exc_info()[1])
    return page or _render(request, "500.html", 500)


def _render(request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
    """Render the template in the frame of the admin; bare where the frame itself fails."""
    try:
        if hasattr(request, "user") and admin.site.has_permission(request):
            title = HTTPStatus(status).phrase.capitalize()
            frame = {
                **admin.site.each_context(request),
                "layout": "kyndo/framed_error.html",
                "title": title,
            }
            return render(request, template, {**frame, **context}, status=status)
    except Exception:
        log.exception("The frame of an error's page cannot be rendered")
    return render(request, template, {"layout": "kyndo/bare_error.html", **context}, status=status)
