"""The search of the audit log: its form, the objects that it finds, and the filters in force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import CharField, Model, TextField
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from ops.admin.audit.history import CURSOR_PARAM, HistoryAdmin, get_audited_columns
from ops.admin.values.audited_objects import AuditedModel, list_secret_types
from ops.admin.values.key_validation import is_valid_key
from ops.models import Run
from ops.sql.audit_search import MAX_BIGINT, AuditSearch, list_persons

_MAX_OBJECTS = 20
_MAX_SUGGESTIONS = 50


class AuditSearchForm(forms.Form):
    """What the audit log is searched for. All filters must match."""

    object = forms.CharField(required=False, label="What", max_length=255, widget=UnfoldAdminTextInputWidget)
    kind = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    person = forms.CharField(required=False, max_length=150, widget=UnfoldAdminTextInputWidget)
    run = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_BIGINT, widget=UnfoldAdminTextInputWidget
    )
    field = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    value = forms.CharField(required=False, max_length=255, widget=UnfoldAdminTextInputWidget)
    since = forms.DateTimeField(required=False, label="From", widget=UnfoldAdminTextInputWidget)
    until = forms.DateTimeField(required=False, label="Before", widget=UnfoldAdminTextInputWidget)

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.GET, label_suffix="")
        models = list(iter_history_models(request))
        kinds = [(model.label, model.model._meta.verbose_name) for model in models if model.model]
        self.fields["kind"].choices = [("", "Anything"), *kinds]  # type: ignore[attr-defined]
        self.fields["field"].choices = [("", "Any field"), *_list_columns(models)]  # type: ignore[attr-defined]
        attributes = {
            "object": {"placeholder": "Id, key or title"},
            "person": {"list": "persons", "autocomplete": "off"},
            "run": {"inputmode": "numeric", "placeholder": "Number"},
            "value": {"placeholder": "Old or new, or a part of it"},
            "since": {"type": "datetime-local"},
            "until": {"type": "datetime-local"},
        }
        for name, values in attributes.items():
            self.fields[name].widget.attrs.update(values)
        for name in ("since", "until"):
            self.fields[name].label = f"{self.fields[name].label} ({timezone.get_current_timezone_name()})"

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if since and until and since >= until:
            self.add_error("until", "This time is not after the other one.")
        return values

    def list_filters(self, request: HttpRequest) -> list[tuple[str, str, str]]:
        """Return (label, value, URL of the page without it) of each filter in force."""
        filters = []
        for name, value in self.cleaned_data.items():
            if value in (None, ""):
                continue
            query = request.GET.copy()
            for param, given in request.GET.items():
                if param in (name, CURSOR_PARAM) or not given:
                    del query[param]
            text = dict(getattr(self.fields[name], "choices", ())).get(value, value)
            text = f"{timezone.localtime(text):%Y-%m-%d %H:%M}" if name in ("since", "until") else str(text)
            filters.append((str(self.fields[name].label or name.capitalize()), text, f"?{query.urlencode()}"))
        return filters


@dataclass(frozen=True)
class FoundObjects:
    """``pairs`` of label and key are None if no object was searched for; ``note`` says what is missing."""

    pairs: Sequence[tuple[str, str]] | None = None
    note: str = ""


def build_search(request: HttpRequest, form: AuditSearchForm, found: FoundObjects) -> AuditSearch:
    """Search for a value only where the user may see values: they could guess it, letter by letter."""
    values = form.cleaned_data
    return AuditSearch(
        objects=found.pairs,
        run_id=values["run"],
        performed_by=values["person"],
        object_type=values["kind"],
        column=values["field"],
        value=values["value"],
        since=values["since"],
        until=values["until"],
        secret_types=list_secret_types(request) if values["value"] else (),
    )


def find_objects(request: HttpRequest, text: str, label: str) -> FoundObjects:
    """Find objects by primary key, by a unique text, or else by the search of their lists.

    A primary key finds the rows of an object that was deleted, too.
    """
    if not text:
        return FoundObjects()
    models = [model for model in iter_history_models(request) if label in ("", model.label)]
    pairs = [pair for model in models for pair in _iter_exact(request, model, text)]
    if pairs:
        return FoundObjects(pairs)
    pairs = [pair for model in models for pair in _iter_matches(request, model, text)]
    if len(pairs) <= _MAX_OBJECTS:
        note = (
            ""
            if pairs
            else (f"Nothing is called “{text}” now. If it was deleted or renamed, search for it as a value.")
        )
        return FoundObjects(pairs, note)
    return FoundObjects(
        pairs[:_MAX_OBJECTS],
        f"“{text}” matches more than {_MAX_OBJECTS} objects. These are the changes of {_MAX_OBJECTS} of them:"
        " type more of the name, or an id.",
    )


def iter_history_models(request: HttpRequest) -> Iterator[AuditedModel]:
    """Yield the models with a history that the user may view."""
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, HistoryAdmin) and model_admin.has_view_permission(request):
            yield AuditedModel(request, model._meta.label_lower)


def get_history_media(request: HttpRequest) -> forms.Media:
    """Return the style sheets of the badges of all models."""
    return sum((model.admin.media for model in iter_history_models(request)), start=forms.Media())


def suggest_persons() -> list[str]:
    """List persons who made single changes, or the newest runs."""
    runs = Run.objects.order_by("-pk").values_list("performed_by", flat=True)[:_MAX_SUGGESTIONS]
    return sorted({*runs, *list_persons(_MAX_SUGGESTIONS)})


def _list_columns(models: Sequence[AuditedModel]) -> list[tuple[str, str]]:
    labels: dict[str, list[str]] = {}
    for audited in models:
        for column, label in get_audited_columns(audited).items():
            labels.setdefault(column, []).append(label)
    choices = ((column, " / ".join(dict.fromkeys(names))) for column, names in labels.items())
    return sorted(choices, key=lambda choice: choice[1])


def _iter_exact(request: HttpRequest, audited: AuditedModel, text: str) -> Iterator[tuple[str, str]]:
    model: type[Model] = audited.admin.model
    if is_valid_key(text, model._meta.pk):
        yield audited.label, str(model._meta.pk.to_python(text))
        return
    for constraint in model._meta.total_unique_constraints:
        name, *others = constraint.fields
        if not others and isinstance(model._meta.get_field(name), CharField | TextField):
            rows = audited.admin.get_queryset(request).filter(**{name: text})
            yield from ((audited.label, str(key)) for key in rows.values_list("pk", flat=True))


def _iter_matches(request: HttpRequest, audited: AuditedModel, text: str) -> Iterator[tuple[str, str]]:
    if not audited.admin.get_search_fields(request):
        return
    rows, _ = audited.admin.get_search_results(request, audited.admin.get_queryset(request), text)
    keys = rows.order_by().values_list("pk", flat=True)[: _MAX_OBJECTS + 1]
    yield from ((audited.label, str(key)) for key in keys)
