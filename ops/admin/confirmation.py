"""One page between the wish and the run: what is asked, what it would do, and the button that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from ops import words
from ops.admin.asking import how_form, raw_params
from ops.creation import Request, create
from ops.exceptions import OpsError
from ops.preview import Preview, preview
from ops.queue.bell import ring
from ops.report.preview import basis

# Groups of the breakdown that are shown.
_SHOWN = 8


@dataclass(frozen=True)
class Proposal:
    """A run that somebody is about to start.

    ``asked`` lacks what the forms ask: the operation's own, if it has one to answer, and how to execute it.
    ``hidden`` is what the address holds besides; ``back`` is the page that they came from.
    """

    title: str
    summary: str
    rows: str
    asked: Request
    back: str
    form: forms.Form | None = None
    hidden: Mapping[str, Any] = field(default_factory=dict)


def confirm(request: HttpRequest, model_admin: Any, proposal: Proposal) -> HttpResponse:
    """The page for GET; for POST, the run.

    Both ask the same address, so that what was seen is what starts.
    """
    seen, problem, how = None, "", how_form(request.GET)
    try:
        if asked := _answered(proposal, how):
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
        "how": how,
        "hidden": [(name, value) for name, values in proposal.hidden.items() for value in _listed(values)],
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "ops/admin/confirmation.html", context, status=409 if problem else 200)


def _answered(proposal: Proposal, how: forms.Form) -> Request | None:
    """The whole of what is asked; None while a form still lacks an answer, or has a wrong one."""
    form = proposal.form
    if not (how.is_valid() and (form is None or form.is_valid())):
        return None
    params = proposal.asked.params if form is None else raw_params(form)
    return replace(proposal.asked, params=params, **how.cleaned_data)


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


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]
