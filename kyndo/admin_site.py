"""The admin's site: unfold's, with the dashboard for its start page, and the page of the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.sites import UnfoldAdminSite

from ops import permissions

_SENT_TOO_LATE = (
    "Nothing was saved or started: your session had ended. Log in and send the form once more. "
    "The Back button of the browser may bring back what you typed."
)


class AdminSite(UnfoldAdminSite):  # type: ignore[misc]
    index_template = "ops/admin/dashboard.html"

    # Their modules register models with this site, so that it must exist before they are imported.

    def extra_urls(self) -> list[URLPattern]:
        from ops.admin.dashboard import dashboard, queue
        from ops.admin.runs import approvals

        return [*approvals.build_urls(self), *dashboard.build_urls(self), *queue.build_urls(self)]

    def admin_view(self, view: Callable[..., HttpResponse], cacheable: bool = False) -> Any:
        """Tell whose session has ended that the form they sent was lost, and lead back to its page."""
        checked = super().admin_view(view, cacheable)

        @wraps(checked)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            is_late = request.method == "POST" and request.user.is_anonymous
            response: HttpResponse = checked(request, *args, **kwargs)
            login_url = reverse("admin:login")
            if not (
                is_late and isinstance(response, HttpResponseRedirect) and response.url.startswith(login_url)
            ):
                return response
            messages.warning(request, _SENT_TOO_LATE)
            return redirect_to_login(_get_form_page(request), login_url)

        return inner

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from ops.admin.dashboard.dashboard import list_panels

        context = {"panels": list_panels(request), **(extra_context or {})}
        response: TemplateResponse = super().index(request, context)
        return response

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from ops.admin.lists.palette import search_view

        return search_view(request, self)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Add the pages that are no model's, for those who may see them."""
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "ops":
                app["models"] += _iter_entries(request)
        return apps


def _iter_entries(request: HttpRequest) -> Iterator[dict[str, Any]]:
    if request.user.has_perm("ops.view_run"):
        yield _build_entry("Waiting for approval", "approvals")
    if request.user.has_perm(permissions.VIEW_QUEUE):
        yield _build_entry("Queue", "queue")


def _build_entry(title: str, page: str) -> dict[str, Any]:
    return {
        "name": title,
        "object_name": title,
        "admin_url": reverse(f"admin:{page}"),
        "add_url": None,
        "view_only": True,
    }


def _get_form_page(request: HttpRequest) -> str:
    """Return the path of the page that a form was sent from: the URL it was sent to may answer POST alone."""
    referer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referer, {request.get_host()}, request.is_secure()):
        return request.get_full_path()
    parts = urlsplit(referer)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
