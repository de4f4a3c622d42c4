"""One page between the wish and the run: what is asked, what it would do, and the button that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from ops.admin.forms import SUBMITTED_MARKER, build_execution_form, extract_form_data, get_raw_params
from ops.exceptions import OpsError
from ops.formatting import format_estimate, format_row_count, format_value
from ops.queue.enqueue import enqueue_run
from ops.report.preview import format_rate_basis
from ops.runs.creation import RunRequest, create_run
from ops.runs.preview import Preview, build_preview

# The button that asks for nothing but a preview.
PREVIEW_BUTTON = "preview"
# Groups of the breakdown that are shown.
_MAX_GROUPS = 8


@dataclass(frozen=True)
class Proposal:
    """A run that somebody is about to start.

    ``asked`` lacks what the forms ask: the operation's own, if it has one to answer, which ``form`` makes of
    what was given, and how to execute it. ``hidden`` is what the address holds besides; ``back`` is the page
    that they came from.
    """

    title: str
    summary: str
    scope_description: str
    run_request: RunRequest
    back_url: str
    form_factory: Callable[[QueryDict], forms.Form] | None = None
    query_params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SubmittedForms:
    """What was answered, be it in the address or in the form that is sent to it."""

    proposal: Proposal
    form: forms.Form | None
    execution_form: forms.Form

    @classmethod
    def from_query(cls, proposal: Proposal, given: QueryDict) -> SubmittedForms:
        return cls(
            proposal, proposal.form_factory and proposal.form_factory(given), build_execution_form(given)
        )

    @property
    def raw_params(self) -> list[dict[str, Any]]:
        return [get_raw_params(form) for form in (self.form, self.execution_form) if form is not None]

    @property
    def run_request(self) -> RunRequest | None:
        """The whole of what is asked; None while a form still lacks an answer, or has a wrong one."""
        if not (self.execution_form.is_valid() and (self.form is None or self.form.is_valid())):
            return None
        params = self.proposal.run_request.params if self.form is None else get_raw_params(self.form)
        return replace(self.proposal.run_request, params=params, **self.execution_form.cleaned_data)


def confirmation_view(request: HttpRequest, model_admin: Any, proposal: Proposal) -> HttpResponse:
    """The page for GET; for POST, the run.

    What the address answers is what the page previewed, and what is sent is what its form shows: a run starts
    only where both are the same. Otherwise the address of what is sent is led to, which previews that.
    """
    answers = SubmittedForms.from_query(proposal, request.GET)
    if request.method == "POST" and SUBMITTED_MARKER in request.POST:
        same = SubmittedForms.from_query(proposal, request.POST).raw_params == answers.raw_params
        if PREVIEW_BUTTON in request.POST or not same:
            return _redirect_to_preview(request, proposal)
    seen, problem = None, ""
    try:
        if asked := answers.run_request:
            if request.method == "POST":
                return _start_run(request, asked)
            seen = build_preview(asked)
    except OpsError as exc:
        problem = str(exc)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": proposal.title,
        "proposal": proposal,
        "preview": seen and _get_preview_context(seen),
        "problem": problem,
        "form": answers.form,
        "how": answers.execution_form,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "ops/admin/confirmation.html", context, status=409 if problem else 200)


def _redirect_to_preview(request: HttpRequest, proposal: Proposal) -> HttpResponse:
    if PREVIEW_BUTTON not in request.POST:
        messages.warning(
            request, "The form was changed after its preview, so nothing was started. Look again."
        )
    given = urlencode({**proposal.query_params, **extract_form_data(request.POST)}, doseq=True)
    return HttpResponseRedirect(f"{request.path}?{given}")


def _start_run(request: HttpRequest, asked: RunRequest) -> HttpResponse:
    run = create_run(asked)
    if warning := enqueue_run(run):
        messages.warning(request, warning)
    return HttpResponseRedirect(reverse("admin:ops_run_change", args=[run.pk]))


def _get_preview_context(seen: Preview) -> dict[str, Any]:
    model, total = seen.operation.model, seen.total
    most = max((count for _, count in seen.breakdown), default=1)
    return {
        "total": total,
        "count": format_row_count(model, total),
        "noun": model._meta.verbose_name,
        "estimate": format_estimate(seen.duration),
        "basis": format_rate_basis(seen),
        "breakdown": [
            (format_value(name), f"{count:,}", 100 * count / most)
            for name, count in seen.breakdown[:_MAX_GROUPS]
        ],
        "more": len(seen.breakdown) - _MAX_GROUPS,
        "by": seen.operation.group_by,
        "columns": list(seen.samples[0].values) if seen.samples else [],
        "samples": [
            (sample.label, [tuple(map(format_value, told)) for told in sample.values.values()])
            for sample in seen.samples
        ],
        "remarks": seen.remarks,
    }
