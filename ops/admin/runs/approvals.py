"""The page of what waits for a second person, and how much of it waits for its reader."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.cache import never_cache

from ops import permissions
from ops.admin.live.run_words import link_run, name_run
from ops.admin.runs.run_approval import format_moment
from ops.admin.runs.run_facts import get_row_nouns
from ops.formatting import pluralize
from ops.models import Approval, Run
from ops.report.approval import format_decision
from ops.runs import approvals

# More than that wait only where nobody decides.
_MAX_WAITING = 100
_MAX_DECIDED, _RECENTLY = 10, timedelta(days=7)


def build_urls(site: admin.AdminSite) -> list[URLPattern]:
    return [path("approvals/", site.admin_view(approvals_view), name="approvals")]


def list_to_decide(user: Any) -> list[Approval]:
    """List what this person may approve or decline."""
    if not user.has_perm(permissions.APPROVE_PERMISSION):
        return []
    waiting = approvals.list_waiting()[:_MAX_WAITING]
    return [approval for approval in waiting if not approvals.explain_refusal(approval, user)]


def list_asked(user: Any) -> list[Approval]:
    """List what waits since this person asked for it."""
    return [*approvals.list_waiting().filter(run__performed_by=user.get_username())[:_MAX_WAITING]]


@never_cache
def approvals_view(request: HttpRequest) -> HttpResponse:
    if not admin.site.get_model_admin(Run).has_view_permission(request):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    approvals.expire_due()
    mine, asked = list_to_decide(request.user), list_asked(request.user)
    known = {approval.pk for approval in (*mine, *asked)}
    others = [each for each in approvals.list_waiting()[:_MAX_WAITING] if each.pk not in known]
    context = {
        **admin.site.each_context(request),
        "title": "Waiting for approval",
        "may_approve": request.user.has_perm(permissions.APPROVE_PERMISSION),
        "mine": _describe_all(mine),
        "asked": _describe_all(asked),
        "others": _describe_all(others),
        "decided": _describe_all(_list_decided(request.user)),
    }
    return TemplateResponse(request, "ops/admin/approvals.html", context)


def _list_decided(user: Any) -> Iterable[Approval]:
    """List what this person asked for and what was decided of it lately, the newest first."""
    recent = Approval.objects.filter(
        run__performed_by=user.get_username(), decided_at__gte=timezone.now() - _RECENTLY
    )
    return recent.exclude(decision="").select_related("run").order_by("-decided_at")[:_MAX_DECIDED]


def _describe_all(listed: Iterable[Approval]) -> list[dict[str, Any]]:
    return [
        {
            "link": link_run(approval.pk, f"{name_run(approval.run)}, run"),
            "rows": pluralize(approval.rows, *get_row_nouns(approval.run)),
            "asker": approval.run.performed_by,
            "asked_at": format_moment(approval.created_at),
            "comment": approval.comment,
            "expires_at": format_moment(approval.expires_at),
            "decision": approval.decision and format_decision(approval),
            "decided_at": approval.decided_at and format_moment(approval.decided_at),
        }
        for approval in listed
    ]
