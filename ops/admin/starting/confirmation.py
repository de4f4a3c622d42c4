"""The page that confirms a new run: its form, its preview, and the button that starts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from ops.admin.live.run_words import explain_error, label_field, name_operation
from ops.admin.starting.approvers import get_need_context
from ops.admin.starting.forms import (
    COMMENT_FIELD,
    SUBMITTED_MARKER,
    build_execution_form,
    extract_form_data,
    get_comment,
    get_raw_params,
)
from ops.admin.starting.starting import start_run
from ops.exceptions import OpsError
from ops.formatting import format_estimate, format_row_count, format_value
from ops.operations.base import Operation
from ops.report.preview import MAX_GROUPS, format_no_rows, format_rate_basis, format_values
from ops.runs.creation import RunRequest
from ops.runs.preview import Preview, build_preview

# Name of the button that previews and starts nothing.
PREVIEW_BUTTON = "preview"
# The parameter of the URL that asks for the preview alone; or for the page with it, where no script ran.
_PART_PARAM, _PREVIEW_ALONE, _WHOLE_PAGE = "part", "preview", "page"
_FORM = "asking"


@dataclass(frozen=True)
class Proposal:
    """A run that a person is about to start.

    ``run_request`` lacks what the forms ask for: the operation's params, if ``form_factory`` makes a form of
    the submitted data, and the execution options. ``query_params`` are the other parameters of the page's
    URL; ``back_url`` is the page that the person came from. ``links`` are the URLs of
    pages that tell more, by their text.
    """

    title: str
    summary: str
    scope_description: str
    run_request: RunRequest
    back_url: str
    form_factory: Callable[[QueryDict], forms.Form] | None = None
    query_params: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SubmittedForms:
    """The forms with their data, from the URL (GET) or from the posted form."""

    proposal: Proposal
    form: forms.Form | None
    execution_form: forms.Form

    @classmethod
    def from_query(cls, proposal: Proposal, data: QueryDict) -> SubmittedForms:
        return cls(
            proposal, proposal.form_factory and proposal.form_factory(data), build_execution_form(data)
        )

    @property
    def raw_params(self) -> list[dict[str, Any]]:
        return [get_raw_params(form) for form in (self.form, self.execution_form) if form is not None]

    @property
    def run_request(self) -> RunRequest | None:
        """The complete request; None while a form is incomplete or invalid."""
        if not (self.execution_form.is_valid() and (self.form is None or self.form.is_valid())):
            return None
        params = self.proposal.run_request.params if self.form is None else get_raw_params(self.form)
        return replace(self.proposal.run_request, params=params, **self.execution_form.cleaned_data)


def confirmation_view(request: HttpRequest, model_admin: Any, proposal: Proposal) -> HttpResponse:
    """Show the page for GET; start the run for POST.

    The URL's parameters are what the page previews, and the posted data is what its form shows: a run starts
    only if both are equal. Otherwise redirect to the URL of the posted data, which previews that. The page
    asks for its preview once it is shown, since counting takes seconds in a large table.
    """
    previewed = SubmittedForms.from_query(proposal, request.GET)
    if request.method == "POST" and SUBMITTED_MARKER in request.POST:
        posted = SubmittedForms.from_query(proposal, request.POST)
        if PREVIEW_BUTTON in request.POST or posted.raw_params != previewed.raw_params:
            return _redirect_to_preview(request, proposal)
    run_request, part = previewed.run_request, request.GET.get(_PART_PARAM)
    shown: dict[str, Any] = {}
    if run_request and request.method == "POST":
        try:
            run = start_run(request, run_request)
            return HttpResponseRedirect(reverse("admin:ops_run_change", args=[run.pk]))
        except OpsError as exc:
            shown = get_problem_context(exc)
    elif run_request and part:
        shown = _build_preview_context(request, run_request)
    context = {
        **model_admin.admin_site.each_context(request),
        **shown,
        "opts": model_admin.opts,
        "title": proposal.title,
        "proposal": proposal,
        "form": previewed.form,
        "execution_form": previewed.execution_form,
        "comment": get_comment(request),
    }
    if run_request and not shown:
        context["preview_url"], context["page_url"] = (
            _build_part_url(request, value) for value in (_PREVIEW_ALONE, _WHOLE_PAGE)
        )
    request.current_app = model_admin.admin_site.name
    template = "preview" if shown and part == _PREVIEW_ALONE else "confirmation"
    status = 409 if "problem" in shown else 200
    return TemplateResponse(request, f"ops/admin/{template}.html", context, status=status)


def _build_part_url(request: HttpRequest, part: str) -> str:
    query = request.GET.copy()
    query[_PART_PARAM] = part
    return f"?{query.urlencode()}"


def _build_preview_context(request: HttpRequest, run_request: RunRequest) -> dict[str, Any]:
    try:
        preview = build_preview(run_request)
    except OpsError as exc:
        return get_problem_context(exc)
    operation, scope = run_request.operation, run_request.scope
    need = get_need_context(request, operation, scope, preview.operation.model, preview.total, _FORM)
    return {"preview": get_preview_context(preview), **need}


def get_problem_context(problem: OpsError) -> dict[str, Any]:
    return {"problem": explain_error(problem), "advice": problem.advice}


def _redirect_to_preview(request: HttpRequest, proposal: Proposal) -> HttpResponse:
    if PREVIEW_BUTTON not in request.POST:
        messages.warning(
            request, "Nothing was started: the form changed after the preview. Check this new preview."
        )
    comment = {COMMENT_FIELD: comment} if (comment := get_comment(request)) else {}
    query = urlencode({**proposal.query_params, **extract_form_data(request.POST), **comment}, doseq=True)
    return HttpResponseRedirect(f"{request.path}?{query}")


def get_preview_context(preview: Preview) -> dict[str, Any]:
    model, total = preview.operation.model, preview.total
    largest = max((count for _, count in preview.breakdown), default=1)
    return {
        "total": total,
        "count": format_row_count(model, total),
        "no_rows": format_no_rows(preview.operation),
        "estimate": format_estimate(preview.duration),
        "basis": format_rate_basis(preview),
        "breakdown": [
            ("empty" if name is None else format_value(name), f"{count:,}", 100 * count / largest)
            for name, count in preview.breakdown[:MAX_GROUPS]
        ],
        "more": len(preview.breakdown) - MAX_GROUPS,
        "by": label_field(model, preview.operation.group_by or ""),
        "columns": [label_field(model, name) for name in preview.samples[0].values]
        if preview.samples
        else [],
        "samples": [
            (sample.label, [_format_change(change, preview.operation) for change in sample.values.values()])
            for sample in preview.samples
        ],
        "notes": preview.notes,
        "ends": [*_iter_ends(preview)],
    }


def _iter_ends(preview: Preview) -> Iterator[str]:
    """Yield what happens when the run has changed its last row."""
    model = preview.operation.model
    rows = f"those of these {format_row_count(model, preview.total)} that need it"
    if preview.total == 1:
        rows = f"this {model._meta.verbose_name}, if it needs it"
    for label in preview.checks:
        yield f"Checked: there are no {label}."
    for name in preview.followups:
        yield f"Starts by itself: {name_operation(name)}, for {rows}."


def _format_change(change: Iterable[Any], operation: Operation) -> list[str]:
    """Return the old and the new value; "" for NULL, which the page calls empty."""
    return format_values(("" if value is None else value for value in change), operation)
