"""Filters for lists of millions of rows: none reads the whole table to find its choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar

from django.contrib.admin import FieldListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.utils.functional import cached_property

from ops.sql.distinct import list_distinct

_MAX_SUGGESTIONS = 500
_RECENT_ROWS = 1_000


class LookupFilter(FieldListFilter):
    """Choices of one lookup. The URL parameter is written as in the ORM: ``rarity__exact``."""

    lookup: ClassVar[str]

    def __init__(
        self, field: Any, request: Any, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        self.parameter = f"{field_path}__{self.lookup}"
        self.selected_value = params.get(self.parameter, [None])[-1]
        if self.selected_value is not None:
            params[self.parameter] = [self.selected_value]  # Django would find the rows of any of the values
        self.get_rows: Callable[[], QuerySet[Any]] = partial(model_admin.get_queryset, request)
        super().__init__(field, request, params, model, model_admin, field_path)

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter]

    def options(self) -> Iterable[tuple[str, str]]:
        """Return pairs of a value of the lookup and its label."""
        raise NotImplementedError

    @cached_property
    def _cached_options(self) -> list[tuple[str, str]]:
        return list(self.options())

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        query = changelist.get_query_string(remove=[self.parameter])
        yield {"selected": self.selected_value is None, "query_string": query, "display": "All"}
        for value, label in self._cached_options:
            query = changelist.get_query_string({self.parameter: value})
            yield {"selected": value == self.selected_value, "query_string": query, "display": label}


class ValueFilter(LookupFilter):
    """One of the few values of a column."""

    lookup = "exact"

    def values(self) -> Iterable[str]:
        raise NotImplementedError

    def options(self) -> Iterable[tuple[str, str]]:
        values = list(self.values())
        if self.selected_value not in (None, *values):
            values.append(self.selected_value)
        return [(value, value) for value in values]


class RecentValueFilter(ValueFilter):
    """One value of a column without an index. Offers the values of the newest 1,000 rows."""

    def values(self) -> Iterable[str]:
        newest = self.get_rows().order_by("-pk").values_list(self.field_path, flat=True)[:_RECENT_ROWS]
        return sorted(set(newest))


class MissingFilter(LookupFilter):
    """Whether a nullable column is NULL."""

    lookup = "isnull"

    def options(self) -> Iterable[tuple[str, str]]:
        return [("True", "Missing"), ("False", "Present")]


class SuggestingFilter(LookupFilter):
    """One value of an indexed column, typed or chosen; the first 500 are suggested."""

    lookup = "exact"
    template = "ops/admin/suggesting_filter.html"

    @cached_property
    def suggestions(self) -> list[str]:
        return self._suggested[:_MAX_SUGGESTIONS]

    @property
    def is_complete(self) -> bool:
        return len(self._suggested) <= _MAX_SUGGESTIONS

    @cached_property
    def _suggested(self) -> list[str]:
        return self.suggest(_MAX_SUGGESTIONS + 1)

    def suggest(self, limit: int) -> list[str]:
        return list_distinct(self.field.model, str(self.field.column), limit)

    def options(self) -> Iterable[tuple[str, str]]:
        return [] if self.selected_value is None else [(self.selected_value, self.selected_value)]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the whole list, and the value in force; with the other parameters, for the form."""
        for choice in super().choices(changelist):
            yield {**choice, "hidden": list_hidden_fields(changelist, self.parameter)}


def list_hidden_fields(changelist: ChangeList, *without: str) -> list[tuple[str, str]]:
    """List the parameters of the list as (name, value), for a form that changes some of them."""
    return [
        (name, value)
        for name, values in changelist.filter_params.items()
        if name not in without
        for value in (values if isinstance(values, list) else [values])
    ]
