"""Rows that are chosen by their keys: ticked in a list, or searched for in a form."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import helpers
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Field, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin


class KeyValidatingAdmin(ModelAdmin):  # type: ignore[misc]
    """A list whose ticks are keys, whatever is posted to it, and in which nothing is found by a NUL."""

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        if "\0" in search_term:
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        for ticked in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
            if not is_valid_key(ticked, self.opts.pk):
                raise BadRequest(f"{ticked!r} is no key of a row")
        response: HttpResponse | None = super().response_action(request, queryset)
        return response


class KeySelect(AutocompleteSelect):
    """One row, which is looked for as its name is typed; what is no key chooses none."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, [v for v in value if is_valid_key(v, self.field.target_field)], attr)


def is_valid_key(text: Any, field: Field[Any, Any]) -> bool:
    try:
        field.run_validators(field.to_python(text))
    except (ValidationError, ValueError):
        return False
    return True
