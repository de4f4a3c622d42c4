"""The page of a run that waits for a second person: what was asked, its preview, and the decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from ops import permissions
from ops.admin.live.live_page import LIVE_VIEW, format_status_badge
from ops.admin.live.run_words import build_breadcrumb, name_run
from ops.admin.runs.run_facts import get_row_nouns, list_facts, list_operator_facts
from ops.admin.starting.approvers import format_approvers
from ops.admin.starting.confirmation import get_preview_context, get_problem_context
from ops.admin.starting.forms import build_comment_form, get_comment
from ops.exceptions import OpsError
from ops.formatting import format_time_in_words
from ops.models import Approval, Run
from ops.report.approval import explain_need
from ops.runs import approvals
from ops.runs.approval_policy import find_approval
from ops.runs.preview import build_run_preview
from ops.states import State

_FORM = "decision"
_DECISIONS: dict[str, tuple[Callable[[Run, Any, str], None], str]] = {
    "approve": (approvals.approve, "Run {} was approved."),
    "decline": (approvals.decline, "Run {} was declined, so it is cancelled."),
}


def find_waiting(run: Run) -> Approval | None:
    """Return what the run waits for; None if it does not wait any more. Cancels it if its time is over."""
    if run.state != State.AWAITING_APPROVAL:
        return None
    approvals.expire_due()
    run.refresh_from_db(fields=["state"])
    approval = find_approval(run) if run.state == State.AWAITING_APPROVAL else None
    if approval is not None:
        approval.run = run
    return approval


def waiting_page(
    request: HttpRequest, model_admin: Any, approval: Approval, problem: OpsError | None = None
) -> HttpResponse:
    """Return the page of a run that waits; its preview is a request of its own, as counting takes seconds."""
    run, comment = approval.run, get_comment(request)
    refusal = approvals.explain_refusal(approval, request.user)
    urls = {
        f"{page}_url": reverse(model_admin.get_url_name(page), args=[run.pk])
        for page in (LIVE_VIEW, "preview", "cancel", *_DECISIONS)
    }
    context = {
        **model_admin.admin_site.each_context(request),
        **(get_problem_context(problem) if problem else {}),
        "opts": model_admin.opts,
        "original": build_breadcrumb(run),
        "title": f"Run {run.pk}",
        "heading": name_run(run),
        "state": format_status_badge(run.state),
        "asker": run.performed_by,
        "asked_at": format_moment(approval.created_at),
        "comment": approval.comment,
        "need": explain_need(approval, *get_row_nouns(run)),
        "may_view_rows": request.user.has_perm(permissions.view_permission(run.model)),
        "facts": _list_facts(approval),
        "operator_facts": list_operator_facts(run),
        "starts_by_itself": run.workers is not None,
        "refusal": refusal,
        "others": "" if not refusal else format_approvers(run.model, run.performed_by),
        "comment_form": None if refusal else build_comment_form("Comment", comment, _FORM),
        "may_cancel": model_admin.may_use_control(request, "cancel", run),
        **urls,
    }
    return TemplateResponse(request, "ops/admin/run_waiting.html", context, status=409 if problem else 200)


def _list_facts(approval: Approval) -> dict[str, Any]:
    """Return what was asked, without who asked it, and until when it waits."""
    facts = {name: fact for name, fact in list_facts(approval.run).items() if name != "Requested"}
    return facts | {"Waits until": f"{format_moment(approval.expires_at)}, and is cancelled then"}


def format_moment(when: Any) -> str:
    local, now = timezone.localtime(when), timezone.localtime()
    if (local.date() - now.date()).days == 1:
        return f"tomorrow {local:%H:%M %Z}"
    return f"{format_time_in_words(local, now)} {local:%Z}"


def preview_view(request: HttpRequest, number: int, model_admin: Any) -> HttpResponse:
    """Return what the run would change now: the part of its page that is read once that is shown."""
    run = model_admin.get_row_or_404(request, number)
    if not request.user.has_perm(permissions.view_permission(run.model)):
        raise PermissionDenied
    approval = find_waiting(run)
    if approval is None:
        raise Http404(f"Run {run.pk} does not wait for a second person any more")
    try:
        preview = build_run_preview(run)
    except OpsError as exc:
        return TemplateResponse(request, "ops/admin/preview.html", get_problem_context(exc), status=409)
    context = {
        "preview": get_preview_context(preview),
        "is_waiting": True,
        "asked_rows": "" if preview.total == approval.rows else f"{approval.rows:,}",
        "growth": approvals.explain_growth(approval, preview.total),
    }
    return TemplateResponse(request, "ops/admin/preview.html", context)


def decision_view(request: HttpRequest, number: int, model_admin: Any, verb: str) -> HttpResponse:
    """Approve or decline the run. What was typed is kept where that is refused."""
    run = model_admin.get_row_or_404(request, number)
    if not request.user.has_perms(permissions.approval_permissions(run.model)):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    decide, done = _DECISIONS[verb]
    try:
        decide(run, request.user, get_comment(request))
        messages.success(request, done.format(run.pk))
    except OpsError as exc:
        run.refresh_from_db(fields=["state"])
        if approval := find_waiting(run):
            return waiting_page(request, model_admin, approval, exc)
        messages.error(request, _keep_comment(exc.reason, get_comment(request)))
    return HttpResponseRedirect(reverse(model_admin.get_url_name("change"), args=[run.pk]))


def _keep_comment(reason: str, comment: str) -> str:
    return f"{reason} What you wrote is not stored: “{comment}”" if comment else reason
