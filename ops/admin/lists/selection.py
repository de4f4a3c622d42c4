"""The rows that a person selected in a list: ticked rows, or all that its filters and its search match."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import BadRequest
from django.db.models import Model
from django.http import HttpRequest, QueryDict

from ops.exceptions import InvalidScope
from ops.formatting import format_row_count
from ops.operations.filters import quote_value
from ops.operations.scope import Scope

# URL parameters: the selected keys, or that the whole list is selected; and the list's own query string.
KEY_PARAM, SELECT_ACROSS_PARAM, CHANGELIST_PARAM = "key", "across", "_changelist_filters"
# Storing a million keys takes longer than a browser waits.
MAX_SELECTED_KEYS = 200_000


@dataclass(frozen=True)
class Selection:
    """``keys`` are the ticked rows. Without keys, all rows that match the list's query are selected."""

    keys: Sequence[str]
    changelist_query: QueryDict = field(default_factory=QueryDict)

    @classmethod
    def from_changelist(cls, request: HttpRequest) -> Selection:
        """Read the selection from the list's form, which is posted with an action."""
        across = request.POST.get("select_across") == "1"
        return cls([] if across else request.POST.getlist(helpers.ACTION_CHECKBOX_NAME), request.GET)

    @classmethod
    def from_url(cls, request: HttpRequest) -> Selection:
        """Read the selection from a URL made of ``query_params``. Raises BadRequest if it selects no rows."""
        keys = request.GET.getlist(KEY_PARAM)
        if not keys and request.GET.get(SELECT_ACROSS_PARAM) != "1":
            raise BadRequest("no rows are selected: select some in the list")
        return cls(keys, QueryDict(request.GET.get(CHANGELIST_PARAM, "")))

    @property
    def query_params(self) -> dict[str, Any]:
        params: dict[str, Any] = {KEY_PARAM: list(self.keys)} if self.keys else {SELECT_ACROSS_PARAM: "1"}
        return {**params, CHANGELIST_PARAM: self.changelist_query.urlencode()}

    def resolve_scope(self, request: HttpRequest, model_admin: Any) -> tuple[Scope, str]:
        """Return the scope for a run, and its description.

        Raises BadRequest if the list has no such filter, InvalidScope if too many keys would be stored.
        """
        model: type[Model] = model_admin.model
        if self.keys:
            return Scope.of_keys(self.keys), f"{format_row_count(model, len(self.keys))}, ticked in the list"
        changelist = self._get_changelist(request, model_admin)
        filters = {name: values[-1] for name, values in changelist.get_filters_params().items()}
        conditions = [f"{name.removesuffix('__exact')} = {value}" for name, value in filters.items()]
        conditions += [f"search “{changelist.query}”"] if changelist.query else []
        everything = f"all {model._meta.verbose_name_plural}"
        description = f"{everything} that match {' and '.join(conditions)}" if conditions else everything
        return _build_scope(changelist), description

    def read_filters(self, request: HttpRequest, model_admin: Any) -> dict[str, str]:
        """Return the list's filters of the kind column = value. Raises BadRequest as ``resolve_scope``."""
        filters = self._get_changelist(request, model_admin).get_filters_params()
        return {
            lookup.removesuffix("__exact"): values[0]
            for lookup, values in filters.items()
            if lookup.endswith("__exact") and len(values) == 1
        }

    def _get_changelist(self, request: HttpRequest, model_admin: Any) -> ChangeList:
        list_request = copy.copy(request)
        list_request.GET = self.changelist_query  # type: ignore[assignment]
        try:
            changelist: ChangeList = model_admin.get_changelist_instance(list_request)
        except IncorrectLookupParameters as exc:
            raise BadRequest("the list has no such filter") from exc
        return changelist


def _build_scope(changelist: Any) -> Scope:
    for spec in changelist.filter_specs:
        if problem := getattr(spec, "scope_problem", ""):
            raise InvalidScope(problem)
    columns = None if changelist.query else _parse_equality_filters(changelist)
    if columns is not None:
        return Scope(columns)
    if (
        not changelist.scanned_page and changelist.paginator.is_exact
    ):  # The paginator has read all keys: no need to search again.
        return Scope.of_keys(changelist.paginator.keys)
    # Not the count that the list shows, which is an estimate or a lower bound.
    if changelist.queryset.order_by().values("pk")[: MAX_SELECTED_KEYS + 1].count() > MAX_SELECTED_KEYS:
        raise InvalidScope(
            f"More than {MAX_SELECTED_KEYS:,} {changelist.opts.verbose_name_plural} match. A run filters"
            " only by column = value; for all else the keys are stored, and so many are not. Narrow the list."
        )
    return Scope(queryset=changelist.queryset)


def _parse_equality_filters(changelist: ChangeList) -> Mapping[str, str | None] | None:
    """Return the filters as {column: value}, None for NULL; None if any filter is of another kind."""
    if changelist.root_queryset.query.where:
        return None
    columns = {column.name: column for column in changelist.lookup_opts.local_concrete_fields}
    filters: dict[str, str | None] = {}
    for lookup, values in changelist.get_filters_params().items():
        column, _, kind = lookup.rpartition("__")
        if column not in columns or len(values) != 1:
            return None
        if kind == "exact":
            filters[column] = values[0]
        elif kind == "isnull" and values[0] in ("1", "True"):
            filters[column] = None
        elif kind == "contains" and isinstance(columns[column], ArrayField):
            filters[lookup] = quote_value(values[0])
        else:
            return None
    return filters
