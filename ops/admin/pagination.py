"""Pagination for lists of millions of rows: they are never counted, and a page reads its own rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.core.paginator import InvalidPage, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from ops.admin.declared import DeclaredChangeList
from ops.admin.key_validation import KeyValidatingAdmin
from ops.admin.keyset_pages import LAST, KeysetPage, is_keyset_ordered, read_page

# Pages have numbers up to here, since a number takes all rows before it. A longer list has pages by key.
MAX_COUNTED_ROWS = 10_000


class ApproximateCount(int):
    """The planner's estimate of a count, shown as "about N"."""

    def __str__(self) -> str:
        return f"about {int(self):,}"


class LowerBoundCount(int):
    """A count that nobody has finished, shown as "N+"."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class LargeTablePaginator(Paginator):  # type: ignore[type-arg]
    """Reads the keys of the first MAX_COUNTED_ROWS rows once and pages through them; estimates the rest."""

    object_list: QuerySet[Any]

    @cached_property
    def keys(self) -> list[Any]:
        return list(self.object_list.values_list("pk", flat=True)[: MAX_COUNTED_ROWS + 1])

    @property
    def is_exact(self) -> bool:
        """Whether ``keys`` holds the keys of all rows."""
        return len(self.keys) <= MAX_COUNTED_ROWS

    @cached_property
    def count(self) -> int:
        if self.is_exact:
            return len(self.keys)
        plan = json.loads(self.object_list.order_by().values("pk").explain(format="json"))[0]["Plan"]
        return ApproximateCount(max(MAX_COUNTED_ROWS, plan["Plan Rows"]))

    @cached_property
    def num_pages(self) -> int:
        return max(1, -(-min(self.count, MAX_COUNTED_ROWS) // self.per_page))

    def get_page_keys(self, number: int) -> list[Any]:
        """Return the keys of a page, counted from 1. Raises InvalidPage."""
        first = (self.validate_number(number) - 1) * self.per_page
        return self.keys[first : min(first + self.per_page, MAX_COUNTED_ROWS)]


@dataclass(frozen=True)
class Condition:
    """What limits a list: a filter's title, or "search"; its value; the list without it."""

    title: str
    value: str
    remove_url: str


class LargeTableChangeList(DeclaredChangeList):
    """Reads a page's rows by the keys that its paginator has read, so a search scans the table once."""

    def get_filters_params(self, params: Any = None) -> Any:
        filters = super().get_filters_params(params)
        if any("\0" in value for values in filters.values() for value in values):
            raise IncorrectLookupParameters("PostgreSQL cannot store the character NUL in text")
        return filters

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.query and not self.paginator.is_exact:
            # What the planner estimates for a part of a text may be wrong by any factor.
            self.result_count = LowerBoundCount(MAX_COUNTED_ROWS)
        if not (self.show_all and self.can_show_all):
            keys = self._read_keyset_page(request) or self._get_page_keys()
            rows = self.root_queryset.filter(pk__in=keys)
            self.result_list = self.apply_select_related(rows).order_by(*self.queryset.query.order_by)
        if not self.conditions:
            self.full_result_count = self.result_count  # so that Django offers no "Show all" link

    @cached_property
    def conditions(self) -> list[Condition]:
        """The search and the filters in force, in this order."""
        search = [Condition("search", self.query, self._get_url_without(SEARCH_VAR))] if self.query else []
        return search + [
            Condition(str(spec.title), self._get_selected_label(spec), self._get_url_without(*parameters))
            for spec in self.filter_specs
            if (parameters := self.filter_params.keys() & {*spec.expected_parameters()})
        ]

    @property
    def unconditional_url(self) -> str:
        """The list without any condition."""
        parameters = {name for spec in self.filter_specs for name in spec.expected_parameters()}
        return self._get_url_without(SEARCH_VAR, *parameters)

    def _get_selected_label(self, spec: Any) -> str:
        labels = [str(choice["display"]) for choice in spec.choices(self) if choice["selected"]]
        return labels[0] if labels else "an unknown value"

    def _get_url_without(self, *parameters: str | None) -> str:
        # Not by ``remove``, which removes every parameter that begins so.
        return str(self.get_query_string(dict.fromkeys(parameters)))

    def _read_keyset_page(self, request: HttpRequest) -> list[Any]:
        """Read the page of a list that is too long for numbers; [] where it has numbers."""
        if self.paginator.is_exact or not is_keyset_ordered(self.queryset):
            return []
        joined_key = self.model_admin.search_key if self.query else ""
        page = read_page(self.queryset, request.GET.get(PAGE_VAR, ""), self.list_per_page, joined_key)
        if page is None:
            page = KeysetPage(self._get_page_keys(), self.page_num > 1, True)
        self.paginator.template_name = "ops/admin/keyset_pages.html"
        parameters = {
            "First": page.has_previous and "1",
            "Previous": page.previous,
            "Next": page.next,
            "Last": page.has_next and LAST,
        }
        self.page_links = [
            (label, parameter and self.get_query_string({PAGE_VAR: parameter}))
            for label, parameter in parameters.items()
        ]
        return page.keys

    def _get_page_keys(self) -> list[Any]:
        try:
            return list(self.paginator.get_page_keys(self.page_num))
        except InvalidPage as exc:
            raise IncorrectLookupParameters from exc


class LargeTableAdmin(KeyValidatingAdmin):
    """An admin whose list stays fast at any number of rows."""

    paginator = LargeTablePaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    # The rows' key in the table that a search reads, if it is another table: ``search__pk``.
    search_key = ""
    list_before_template = "ops/admin/conditions.html"
    # What a person should know about the search who has found nothing.
    no_match_help = ""

    class Media:
        css = {"all": ["ops/admin.css"]}

    def get_url_name(self, view: str) -> str:
        """Return the URL name of one of this model's views: ``admin:cards_card_operate``."""
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DeclaredChangeList]:
        return LargeTableChangeList
