"""The dashboard: panels of what goes on, each with its permission, read by a request of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.views.decorators.cache import never_cache
from redis import RedisError

from ops.admin.live.live_page import LIVE_VIEW
from ops.db import limit_statements
from ops.exceptions import OpsError
from ops.formatting import format_duration
from ops.sqlstates import QUERY_CANCELED, sqlstate

log = logging.getLogger(__name__)

# Of each statement of a panel.
_TIMEOUT = timedelta(seconds=1)
REDIS_TROUBLE = (
    "Redis, which holds the queue, does not answer. No work is lost: it continues when Redis is back."
)
_TOO_SLOW = f"This took longer than {format_duration(_TIMEOUT)}, so it was stopped. The database is busy."
_DATABASE_TROUBLE = "The database refused to tell. The log of the site has its reason."
_FILE_TROUBLE = "A file cannot be read. The log of the site has the reason."


@dataclass(frozen=True)
class Panel:
    """A part of the dashboard. ``read`` returns what ``template`` needs; panels stand by their ``position``.

    ``link`` is the text and the URL name of the page with more. ``interval`` is after how many seconds an
    open page reads the panel again; 0 for never.
    """

    name: str
    title: str
    template: str
    permission: str
    read: Callable[[HttpRequest], dict[str, Any]]
    position: int
    link: tuple[str, str] | None = None
    columns: int = 1
    interval: int = 0

    @property
    def url(self) -> str:
        return reverse(f"admin:dashboard_{self.name}_{LIVE_VIEW}")

    @property
    def link_url(self) -> str:
        return reverse(self.link[1]) if self.link else ""


_panels: dict[str, Panel] = {}


def register_panel(panel: Panel) -> None:
    _panels[panel.name] = panel


def list_panels(request: HttpRequest) -> list[Panel]:
    """List the panels that the user may see, in their order."""
    permitted = [panel for panel in _panels.values() if request.user.has_perm(panel.permission)]
    return sorted(permitted, key=lambda panel: panel.position)


def build_urls(site: AdminSite) -> list[URLPattern]:
    return [
        path(
            f"dashboard/{panel.name}/",
            site.admin_view(partial(panel_view, panel=panel)),
            name=f"dashboard_{panel.name}_{LIVE_VIEW}",
        )
        for panel in _panels.values()
    ]


@never_cache
def panel_view(request: HttpRequest, panel: Panel) -> HttpResponse:
    """Return the content of the panel; where its source fails, what is the matter, in words."""
    if not request.user.has_perm(panel.permission):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    try:
        with limit_statements(_TIMEOUT), transaction.atomic():
            context = {"panel": panel, **panel.read(request)}
            return HttpResponse(render_to_string(panel.template, context, request))
    except (RedisError, DatabaseError, OSError, OpsError) as exc:
        log.warning("The panel %s cannot be read: %s", panel.name, exc)
        context = {"panel": panel, "trouble": explain_trouble(exc)}
        return HttpResponse(render_to_string("ops/admin/panels/trouble.html", context, request))


def explain_trouble(error: Exception) -> str:
    """Say what is the matter, without addresses and commands."""
    if isinstance(error, RedisError):
        return REDIS_TROUBLE
    if isinstance(error, OpsError):
        return error.reason
    if isinstance(error, DatabaseError):
        return _TOO_SLOW if sqlstate(error) == QUERY_CANCELED else _DATABASE_TROUBLE
    return _FILE_TROUBLE
