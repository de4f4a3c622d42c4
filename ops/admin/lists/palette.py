"""The command palette: leads to pages by their name, and to rows by what their list's search finds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from ops.admin.lists.large_tables import LargeTableAdmin

_MIN_TERM_LENGTH = 2


@dataclass(frozen=True)
class Destination:
    """Where the palette leads to, with the names that unfold's template has for it."""

    title: str
    description: str
    link: str
    icon: str


def search_view(request: HttpRequest, site: Any) -> HttpResponse:
    """Show what the term finds. In place of unfold's, which reads all rows that it finds and keeps them."""
    started, term = time.perf_counter(), request.GET.get("s", "").strip()
    results = [*find_destinations(request, site, term)] if term else []
    context = {
        "results": results,
        "page_obj": {"count": len(results)},
        "page_counter": 0,
        "execution_time": time.perf_counter() - started,
    }
    return TemplateResponse(request, "unfold/helpers/command_results.html", context)


def find_destinations(request: HttpRequest, site: Any, term: str) -> Iterator[Destination]:
    """Find what the user may view: pages, then the first rows of each list that the palette knows."""
    words = term.casefold().split()
    for title, description, url in [*_iter_pages(request, site)]:
        if all(word in title.casefold() for word in words):
            yield Destination(title, description, url, "list")
    for model_admin in site._registry.values():
        if isinstance(model_admin, LargeTableAdmin) and model_admin.has_view_permission(request):
            yield from _find_rows(request, model_admin, term)


def _iter_pages(request: HttpRequest, site: Any) -> Iterator[tuple[str, str, str]]:
    yield "Dashboard", str(site.site_header), reverse("admin:index")
    for app in site.get_app_list(request):
        for model in app["models"]:
            if model["admin_url"]:
                yield str(model["name"]), str(app["name"]), model["admin_url"]
            if model["add_url"]:
                yield f"Add to {str(model['name']).lower()}", str(app["name"]), model["add_url"]


def _find_rows(request: HttpRequest, model_admin: LargeTableAdmin, term: str) -> Iterator[Destination]:
    if len(term) < _MIN_TERM_LENGTH and not term.isdecimal():
        return
    for row in model_admin.find_rows(request, term):
        url = reverse(model_admin.get_url_name("change"), args=[quote(row.pk)])
        yield Destination(*model_admin.describe_row(row), url, "arrow_forward")
