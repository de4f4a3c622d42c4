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

from ops import words
from ops.admin.asking import ANSWERED, answers_in, how_form, raw_params
from ops.creation import Request, create
from ops.exceptions import OpsError
from ops.preview import Preview, preview
from ops.queue.bell import ring
from ops.report.preview import basis

# The button that asks for nothing but a preview.
PREVIEW = "preview"
# Groups of the breakdown that are shown.
_SHOWN = 8


@dataclass(frozen=True)
class Proposal:
    """A run that somebody is about to start.

    ``asked`` lacks what the forms ask: the operation's own, if it has one to answer, which ``form`` makes of
    what was given, and how to execute it. ``hidden`` is what the address holds besides; ``back`` is the page
    that they came from.
    """

    title: str
    summary: str
    rows: str
    asked: Request
    back: str
    form: Callable[[QueryDict], forms.Form] | None = None
    hidden: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """What was answered, be it in the address or in the form that is sent to it."""

    proposal: Proposal
    form: forms.Form | None
    how: forms.Form

    @classmethod
    def of(cls, proposal: Proposal, given: QueryDict) -> Answers:
        return cls(proposal, proposal.form and proposal.form(given), how_form(given))

    @property
    def raw(self) -> list[dict[str, Any]]:
        return [raw_params(form) for form in (self.form, self.how) if form is not None]

    @property
    def request(self) -> Request | None:
        """The whole of what is asked; None while a form still lacks an answer, or has a wrong one."""
        if not (self.how.is_valid() and (self.form is None or self.form.is_valid())):
            return None
        params = self.proposal.asked.params if self.form is None else raw_params(self.form)
        return replace(self.proposal.asked, params=params, **self.how.cleaned_data)


def confirm(request: HttpRequest, model_admin: Any, proposal: Proposal) -> HttpResponse:
    """The page for GET; for POST, the run.

    What the address answers is what the page previewed, and what is sent is what its form shows: a run starts
    only where both are the same. Otherwise the address of what is sent is led to, which previews that.
    """
    answers = Answers.of(proposal, request.GET)
    if request.method == "POST" and ANSWERED in request.POST:
        same = Answers.of(proposal, request.POST).raw == answers.raw
        if PREVIEW in request.POST or not same:
            return _preview_anew(request, proposal)
    seen, problem = None, ""
    try:
        if asked := answers.request:
            if request.method == "POST":
                return _start(request, asked)
            seen = preview(asked)
    except OpsError as exc:
        problem = str(exc)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": proposal.title,
        "proposal": proposal,
        "preview": seen and _told(seen),
        "problem": problem,
        "form": answers.form,
        "how": answers.how,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "ops/admin/confirmation.html", context, status=409 if problem else 200)


def _preview_anew(request: HttpRequest, proposal: Proposal) -> HttpResponse:
    if PREVIEW not in request.POST:
        messages.warning(
            request, "The form was changed after its preview, so nothing was started. Look again."
        )
    given = urlencode({**proposal.hidden, **answers_in(request.POST)}, doseq=True)
    return HttpResponseRedirect(f"{request.path}?{given}")


def _start(request: HttpRequest, asked: Request) -> HttpResponse:
    run = create(asked)
    if warning := ring(run):
        messages.warning(request, warning)
    return HttpResponseRedirect(reverse("admin:ops_run_change", args=[run.pk]))


def _told(seen: Preview) -> dict[str, Any]:
    model, total = seen.operation.model, seen.total
    most = max((count for _, count in seen.breakdown), default=1)
    return {
        "total": total,
        "count": words.rows(model, total),
        "noun": model._meta.verbose_name,
        "estimate": words.estimate(seen.duration),
        "basis": basis(seen),
        "breakdown": [
            (words.value(name), f"{count:,}", 100 * count / most) for name, count in seen.breakdown[:_SHOWN]
        ],
        "more": len(seen.breakdown) - _SHOWN,
        "by": seen.operation.breakdown,
        "columns": list(seen.samples[0].values) if seen.samples else [],
        "samples": [
            (sample.label, [tuple(map(words.value, told)) for told in sample.values.values()])
            for sample in seen.samples
        ],
        "remarks": seen.remarks,
    }
