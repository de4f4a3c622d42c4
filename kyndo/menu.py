"""The menu of the admin: what people come for first, and only what each may open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from cards.models import Asset, Card, PresentationRule
from ops import permissions
from ops.admin.runs.approvals import list_to_decide
from ops.models import AuditLog, Export, Run

# Icons are names of Material Symbols, the font that unfold ships.
_CATALOGUE: dict[type[Model], str] = {Card: "style", PresentationRule: "palette", Asset: "image"}
_WORK: dict[type[Model], str] = {Run: "play_circle", Export: "download", AuditLog: "history"}
_ACCOUNTS: dict[type[Model], str] = {User: "person", Group: "group"}


def build_menu(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the menu, as unfold's ``SIDEBAR`` has them, without empty ones."""
    queue = _build_item("Queue", "queue", "admin:queue")
    groups = {
        "": [_build_item("Dashboard", "dashboard", "admin:index")],
        "Catalogue": [*_iter_items(request, _CATALOGUE)],
        "Work": [
            *_iter_approvals(request),
            *_iter_items(request, _WORK),
            *([queue] if request.user.has_perm(permissions.VIEW_QUEUE) else ()),
        ],
        "Accounts": [*_iter_items(request, _ACCOUNTS)],
    }
    return [{"title": title, "items": items} for title, items in groups.items() if items]


def _iter_items(request: HttpRequest, icons: dict[type[Model], str]) -> Iterator[dict[str, Any]]:
    for model, icon in icons.items():
        if admin.site.get_model_admin(model).has_view_permission(request):
            meta = model._meta
            title = str(meta.verbose_name_plural).capitalize()
            yield _build_item(title, icon, f"admin:{meta.app_label}_{meta.model_name}_changelist")


def _iter_approvals(request: HttpRequest) -> Iterator[dict[str, Any]]:
    """Yield the page of what waits for a second person, with how many runs the user is to decide on."""
    if admin.site.get_model_admin(Run).has_view_permission(request):
        count = len(list_to_decide(request.user))
        badge = {"badge": count, "badge_variant": "primary", "badge_style": "solid"} if count else {}
        yield {**_build_item("Waiting for approval", "how_to_reg", "admin:approvals"), **badge}


def _build_item(title: str, icon: str, url_name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(url_name)}
