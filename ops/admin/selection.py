"""Which rows a person chose in a list: the ticked ones, or all that its filters and its search match."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest
from django.db.models import Model
from django.http import HttpRequest, QueryDict

from ops.exceptions import InvalidScope
from ops.formatting import format_row_count
from ops.operations.scope import Scope

# What an address holds: keys, or that all of the list is meant; and the list as it was filtered.
KEY_PARAM, SELECT_ACROSS_PARAM, CHANGELIST_PARAM = "key", "across", "_changelist_filters"
# A million keys take longer to store than a browser waits.
MAX_SELECTED_KEYS = 200_000


@dataclass(frozen=True)
class Selection:
    """``keys`` are ticked rows; without any, all that the list shows under its query is meant."""

    keys: Sequence[str]
    changelist_query: QueryDict = field(default_factory=QueryDict)

    @classmethod
    def from_changelist(cls, request: HttpRequest) -> Selection:
        """From the list's own form, as it is posted with an action."""
        across = request.POST.get("select_across") == "1"
        return cls([] if across else request.POST.getlist(helpers.ACTION_CHECKBOX_NAME), request.GET)

    @classmethod
    def from_url(cls, request: HttpRequest) -> Selection:
        """From the address that ``query`` made. Raises BadRequest where it names no rows."""
        keys = request.GET.getlist(KEY_PARAM)
        if not keys and request.GET.get(SELECT_ACROSS_PARAM) != "1":
            raise BadRequest("no rows were chosen")
        return cls(keys, QueryDict(request.GET.get(CHANGELIST_PARAM, "")))

    @property
    def query_params(self) -> dict[str, Any]:
        chosen: dict[str, Any] = {KEY_PARAM: list(self.keys)} if self.keys else {SELECT_ACROSS_PARAM: "1"}
        return {**chosen, CHANGELIST_PARAM: self.changelist_query.urlencode()}

    def resolve_scope(self, request: HttpRequest, model_admin: Any) -> tuple[Scope, str]:
        """The rows for a run, and in words.

        Raises BadRequest where the list cannot be filtered so, InvalidScope where they are too many.
        """
        model: type[Model] = model_admin.model
        if self.keys:
            return Scope.of_keys(self.keys), f"{format_row_count(model, len(self.keys))}, ticked"
        shown = self._get_changelist(request, model_admin)
        filters = {name: values[-1] for name, values in shown.get_filters_params().items()}
        told = [f"{name.removesuffix('__exact')} = {value}" for name, value in filters.items()]
        told += [f"search “{shown.query}”"] if shown.query else []
        everything = f"all {model._meta.verbose_name_plural}"
        said = f"{everything} that match {' and '.join(told)}" if told else everything
        return _build_scope(shown), said

    def _get_changelist(self, request: HttpRequest, model_admin: Any) -> ChangeList:
        asked = copy.copy(request)
        asked.GET = self.changelist_query  # type: ignore[assignment]
        try:
            shown: ChangeList = model_admin.get_changelist_instance(asked)
        except IncorrectLookupParameters as exc:
            raise BadRequest("the list has no such filter") from exc
        return shown


def _build_scope(shown: ChangeList) -> Scope:
    columns = None if shown.query else _parse_equality_filters(shown)
    if columns is not None:
        return Scope(columns)
    if shown.paginator.is_exact:  # The keys are at hand: no need to search again.
        return Scope.of_keys(shown.paginator.keys)
    if shown.result_count > MAX_SELECTED_KEYS:
        raise InvalidScope(
            f"{shown.result_count} {shown.opts.verbose_name_plural} match, and a search may choose"
            f" {MAX_SELECTED_KEYS:,}, since the key of each is stored. Narrow it, or choose by filters alone."
        )
    return Scope(rows=shown.queryset)


def _parse_equality_filters(shown: ChangeList) -> Mapping[str, str | None] | None:
    """The filters as column = value, NULL included; None where they say anything else."""
    if shown.root_queryset.query.where:
        return None
    columns = {column.name for column in shown.lookup_opts.local_concrete_fields}
    found: dict[str, str | None] = {}
    for lookup, values in shown.get_filters_params().items():
        column, _, kind = lookup.rpartition("__")
        if column not in columns or len(values) != 1:
            return None
        if kind == "exact":
            found[column] = values[0]
        elif kind == "isnull" and values[0] in ("1", "True"):
            found[column] = None
        else:
            return None
    return found
