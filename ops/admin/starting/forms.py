"""The forms of a new run: its operation's params and its execution options, from a page or a URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django import forms
from django.conf import settings
from django.http import HttpRequest, QueryDict
from unfold.widgets import CHECKBOX_CLASSES, INPUT_CLASSES, SELECT_CLASSES, TEXTAREA_CLASSES

from ops.operations.base import Operation

F = TypeVar("F", bound=forms.Form)
# Prefixes keep the fields of both forms apart from the other parameters of a URL.
_PARAMS_PREFIX, _EXECUTION_PREFIX = "with", "how"
# Every posted form has this field, since a browser sends nothing for a checkbox that is not ticked.
SUBMITTED_MARKER = "answered"
# What one person writes to the other about a run that needs two.
COMMENT_FIELD, MAX_COMMENT_LENGTH = "comment", 500


def build_operation_form(
    operation: type[Operation], initial: Mapping[str, Any], data: QueryDict
) -> forms.Form:
    """Return the form of the operation's params, bound if the data has any of them or if it has no fields."""
    names = [f"{_PARAMS_PREFIX}-{name}" for name in operation.Params.base_fields]
    is_submitted = not names or any(name in data for name in (SUBMITTED_MARKER, *names))
    form = operation.Params(data if is_submitted else None, prefix=_PARAMS_PREFIX, initial=dict(initial))
    return style_widgets(form)


def extract_form_data(data: QueryDict) -> dict[str, list[str]]:
    """Return the values that belong to either form, without the other parameters."""
    names = [
        name
        for name in data
        if name == SUBMITTED_MARKER or name.startswith((f"{_PARAMS_PREFIX}-", f"{_EXECUTION_PREFIX}-"))
    ]
    return {name: data.getlist(name) for name in names}


class ExecutionForm(forms.Form):
    """The execution options of a run, the same for every operation."""

    workers = forms.IntegerField(
        min_value=1,
        max_value=64,
        initial=1,
        help_text="Maximum number of workers that execute the run at the same time.",
    )
    max_rate = forms.IntegerField(
        min_value=1,
        max_value=10_000_000,
        required=False,
        help_text="Maximum number of rows to change per second.",
    )
    without_backup = forms.BooleanField(
        required=False, help_text="Start without a fresh, verified backup. The run records this."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.OPS_BACKUP_MAX_AGE is None:  # No backup is required.
            del self.fields["without_backup"]


def build_execution_form(data: QueryDict) -> forms.Form:
    """Return the bound form; without data, one worker and no maximum rate."""
    values = {"workers": "1"} | {
        name: data[f"{_EXECUTION_PREFIX}-{name}"]
        for name in ExecutionForm.base_fields
        if f"{_EXECUTION_PREFIX}-{name}" in data
    }
    return style_widgets(
        ExecutionForm(
            {f"{_EXECUTION_PREFIX}-{name}": value for name, value in values.items()},
            prefix=_EXECUTION_PREFIX,
        )
    )


def build_comment_form(label: str, comment: str, form_id: str) -> forms.Form:
    """Return the form with what was typed so far; its field belongs to the page's form of this id."""
    attrs = {"rows": 3, "form": form_id}
    field = forms.CharField(
        label=label, required=False, max_length=MAX_COMMENT_LENGTH, widget=forms.Textarea(attrs)
    )
    form = forms.Form(initial={COMMENT_FIELD: comment})
    form.fields[COMMENT_FIELD] = field
    return style_widgets(form)


def get_comment(request: HttpRequest) -> str:
    """Return the comment of a form, or of the URL to which the form led."""
    data = request.POST if COMMENT_FIELD in request.POST else request.GET
    return data.get(COMMENT_FIELD, "").replace("\0", "").strip()[:MAX_COMMENT_LENGTH]


def get_raw_params(form: forms.Form) -> dict[str, Any]:
    """Return the submitted values as a command line would give them: without the empty ones."""
    values = {
        name: field.widget.value_from_datadict(form.data, form.files, form.add_prefix(name))
        for name, field in form.fields.items()
    }
    return {name: value for name, value in values.items() if value not in (None, "", [], False)}


def style_widgets(form: F) -> F:
    for field in form.fields.values():
        field.widget.attrs["class"] = " ".join(_get_css_classes(field.widget))
    return form


def _get_css_classes(widget: forms.Widget) -> list[str]:
    if isinstance(widget, forms.CheckboxInput):
        return list(CHECKBOX_CLASSES)
    if isinstance(widget, forms.Textarea):
        return list(TEXTAREA_CLASSES)
    return list(SELECT_CLASSES if isinstance(widget, forms.Select) else INPUT_CLASSES)
