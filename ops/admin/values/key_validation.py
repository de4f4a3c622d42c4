"""Validation of primary keys that a browser sends: ticked rows of a list, choices of a form."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import helpers
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Field, QuerySet
from django.http import HttpRequest, HttpResponse

from ops.admin.values.declared import DeclaredListAdmin


class KeyValidatingAdmin(DeclaredListAdmin):
    """Answers 400 to posted values that are no valid keys, and finds nothing for a search with a NUL."""

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        if "\0" in search_term:
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        # An empty _to_field in the address names no field; Django would look for one without a name.
        return super().get_object(request, object_id, from_field or None)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        for key in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
            if not is_valid_key(key, self.opts.pk):
                raise BadRequest(f"{key!r} is not a valid {self.opts.verbose_name} key")
        response: HttpResponse | None = super().response_action(request, queryset)
        return response


class KeySelect(AutocompleteSelect):
    """An autocomplete field for one row. An invalid key selects none."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, [v for v in value if is_valid_key(v, self.field.target_field)], attr)


def is_valid_key(text: Any, field: Field[Any, Any]) -> bool:
    try:
        field.run_validators(field.to_python(text))
    except (ValidationError, ValueError):
        return False
    return True


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store the text: it has no NUL, and no half of a character."""
    return "\0" not in text and text == text.encode(errors="ignore").decode()
