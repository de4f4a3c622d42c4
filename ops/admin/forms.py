"""The form of an operation, as a page asks for it and as its address answers."""

from __future__ import annotations

from typing import Any, TypeVar

from django import forms
from django.conf import settings
from django.http import QueryDict
from unfold.widgets import CHECKBOX_CLASSES, INPUT_CLASSES, SELECT_CLASSES

from ops.operations.base import Operation

F = TypeVar("F", bound=forms.Form)
# The names of an operation's own parameters are kept apart from whatever else an address holds.
_PARAMS_PREFIX, _EXECUTION_PREFIX = "with", "how"
# Told by a form that was sent, since boxes that are not ticked tell nothing.
SUBMITTED_MARKER = "answered"


def build_operation_form(operation: type[Operation], given: QueryDict) -> forms.Form:
    """Bound once anything was answered; a form that asks nothing is answered from the beginning."""
    names = [f"{_PARAMS_PREFIX}-{name}" for name in operation.Params.base_fields]
    answered = not names or any(name in given for name in (SUBMITTED_MARKER, *names))
    form = operation.Params(given if answered else None, prefix=_PARAMS_PREFIX)
    return style_widgets(form)


def extract_form_data(given: QueryDict) -> dict[str, list[str]]:
    """Whatever of it answers an operation's form, or how the run is to be executed."""
    names = [
        name
        for name in given
        if name == SUBMITTED_MARKER or name.startswith((f"{_PARAMS_PREFIX}-", f"{_EXECUTION_PREFIX}-"))
    ]
    return {name: given.getlist(name) for name in names}


class ExecutionForm(forms.Form):
    """How the run is to be executed, whatever its operation."""

    workers = forms.IntegerField(
        min_value=1, max_value=64, initial=1, help_text="How many workers may advance it at once."
    )
    max_rate = forms.IntegerField(
        min_value=1, max_value=10_000_000, required=False, help_text="Rows changed a second, at most."
    )
    without_backup = forms.BooleanField(
        required=False, help_text="Start without a fresh, verified backup, which the run tells ever after."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.OPS_BACKUP_MAX_AGE is None:  # Nobody demands a backup.
            del self.fields["without_backup"]


def build_execution_form(given: QueryDict) -> forms.Form:
    """Bound once anything was answered; one worker and no cap until then."""
    answers = {"workers": "1"} | {
        name: given[f"{_EXECUTION_PREFIX}-{name}"]
        for name in ExecutionForm.base_fields
        if f"{_EXECUTION_PREFIX}-{name}" in given
    }
    return style_widgets(
        ExecutionForm(
            {f"{_EXECUTION_PREFIX}-{name}": value for name, value in answers.items()},
            prefix=_EXECUTION_PREFIX,
        )
    )


def get_raw_params(form: forms.Form) -> dict[str, Any]:
    """The answers as a command line would give them: what was left empty is not among them."""
    told = {
        name: field.widget.value_from_datadict(form.data, form.files, form.add_prefix(name))
        for name, field in form.fields.items()
    }
    return {name: value for name, value in told.items() if value not in (None, "", [], False)}


def style_widgets(form: F) -> F:
    for field in form.fields.values():
        field.widget.attrs["class"] = " ".join(_get_css_classes(field.widget))
    return form


def _get_css_classes(widget: forms.Widget) -> list[str]:
    if isinstance(widget, forms.CheckboxInput):
        found = CHECKBOX_CLASSES
    else:
        found = SELECT_CLASSES if isinstance(widget, forms.Select) else INPUT_CLASSES
    return list(found)
