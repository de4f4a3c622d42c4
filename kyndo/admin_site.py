"""The admin's site: unfold's, with the dashboard for its start page, and the page of the queue."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from unfold.sites import UnfoldAdminSite

from ops import permissions


class AdminSite(UnfoldAdminSite):  # type: ignore[misc]
    index_template = "ops/admin/dashboard.html"

    # Their modules register models with this site, so that it must exist before they are imported.

    def extra_urls(self) -> list[URLPattern]:
        from ops.admin import dashboard, queue

        return [*dashboard.build_urls(self), *queue.build_urls(self)]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from ops.admin.dashboard import list_panels

        context = {"panels": list_panels(request), **(extra_context or {})}
        response: TemplateResponse = super().index(request, context)
        return response

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from ops.admin.palette import search_view

        return search_view(request, self)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Add the page of the queue, which is no model's, for those who may see it."""
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        if request.user.has_perm(permissions.VIEW_QUEUE):
            for app in apps:
                if app["app_label"] == "ops":
                    app["models"].append(_build_queue_entry())
        return apps


def _build_queue_entry() -> dict[str, Any]:
    return {
        "name": "Queue",
        "object_name": "Queue",
        "admin_url": reverse("admin:queue"),
        "add_url": None,
        "view_only": True,
    }
