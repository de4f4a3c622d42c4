"""The list of millions of rows: what is found, what limits it, and the page that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.core.paginator import InvalidPage
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from ops.admin.lists import pagination
from ops.admin.lists.keyset_pages import (
    LAST,
    SCANNED_ROWS,
    KeysetPage,
    ScannedPage,
    is_keyset_ordered,
    read_page,
    read_scanned_page,
)
from ops.admin.lists.list_layout import (
    COLUMNS_PARAM,
    LAYOUT_PARAM,
    LAYOUT_PARAMS,
    SORT_PARAM,
    ListLayout,
    number_order,
)
from ops.admin.values.declared import DeclaredChangeList


@dataclass(frozen=True)
class Condition:
    """What limits a list: a filter's title, or "search"; its value; the list without it."""

    title: str
    value: str
    remove_url: str


class LargeTableChangeList(DeclaredChangeList):
    """Reads a page's rows by the keys that its paginator has read, so a search scans the table once.

    A filter with ``is_scanned`` finds its rows by looking at all of them: ``scan(rows)``. A page then looks
    at the next SCANNED_ROWS rows only, and says so.
    """

    scanned_page: ScannedPage | None = None

    def get_filters_params(self, params: Any = None) -> Any:
        filters = super().get_filters_params(params)
        for name in LAYOUT_PARAMS:
            filters.pop(name, None)
        if any("\0" in value for values in filters.values() for value in values):
            raise IncorrectLookupParameters("PostgreSQL cannot store the character NUL in text")
        return filters

    def get_queryset(self, request: HttpRequest, **kwargs: Any) -> QuerySet[Any]:
        self.layout = ListLayout(request, self)
        if sort := self.params.pop(SORT_PARAM, ""):
            self._set_order(number_order(sort, self.list_display))
        self.rows_to_scan: QuerySet[Any] = super().get_queryset(request, **kwargs)
        return self._scan(self.rows_to_scan)

    def _set_order(self, order: str) -> None:
        self.filter_params.pop(SORT_PARAM, None)
        if order and ORDER_VAR not in self.params:
            self.params[ORDER_VAR] = order
            self.filter_params[ORDER_VAR] = [order]

    def _scan(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        for spec in self._scanned_filters:
            rows = spec.scan(rows)
        return rows

    def get_results(self, request: HttpRequest) -> None:
        paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        if len(self.conditions) > 1 or self.query:
            paginator.max_counted = min(pagination.MAX_COUNTED_ROWS, pagination.MAX_COUNTED_MATCHES)
        self.paginator = paginator
        self.show_full_result_count, self.show_admin_actions = False, True
        if self._scanned_filters and is_keyset_ordered(self.queryset):
            keys = self._read_scanned_page(request)
        else:
            self.result_count = self._count(paginator)
            self.can_show_all = self.result_count <= self.list_max_show_all
            self.multi_page = self.result_count > self.list_per_page
            keys = self._read_keyset_page(request) or self._get_page_keys()
        # The same count, so that there is no "Show all" link beside the title: the conditions have theirs.
        self.full_result_count = self.result_count
        if self.show_all and self.can_show_all:
            self.result_list = self.apply_select_related(self.queryset)
        else:
            rows = self.root_queryset.filter(pk__in=keys)
            self.result_list = self.apply_select_related(rows).order_by(*self.queryset.query.order_by)

    def _count(self, paginator: Any) -> int:
        if self.query and not paginator.is_exact:
            # What the planner estimates for a part of a text may be wrong by any factor.
            return pagination.LowerBoundCount(paginator.limit)
        return int(paginator.count) if paginator.is_exact else paginator.count

    @property
    def scanned_table(self) -> QuerySet[Any] | None:
        """All rows in the order of the list, where a filter has to look at each; otherwise None."""
        if not self._scanned_filters or not is_keyset_ordered(self.queryset):
            return None
        table: QuerySet[Any] = self.root_queryset.order_by(*self.queryset.query.order_by)
        return table

    @property
    def _scanned_filters(self) -> list[Any]:
        return [spec for spec in self.used_filters if getattr(spec, "is_scanned", False)]

    @property
    def used_filters(self) -> list[Any]:
        """The filters in force."""
        return [spec for spec in self.filter_specs if self._get_parameters(spec)]

    def _get_parameters(self, spec: Any) -> set[str]:
        return {name for name in spec.expected_parameters() if name in self.filter_params}

    @cached_property
    def conditions(self) -> list[Condition]:
        """The search and the filters in force, in this order."""
        search = [Condition("search", self.query, self._get_url_without(SEARCH_VAR))] if self.query else []
        return search + [
            Condition(
                str(spec.title),
                self._get_selected_label(spec),
                self._get_url_without(*self._get_parameters(spec)),
            )
            for spec in self.used_filters
        ]

    @property
    def notes(self) -> list[str]:
        """What the filters in force could not look at."""
        return [note for spec in self.used_filters if (note := getattr(spec, "note", ""))]

    @property
    def accepted_parameters(self) -> set[str | None]:
        """The parameters that make the list what it is; not its page, nor the view that it was opened by."""
        filters = {name for spec in self.filter_specs for name in spec.expected_parameters()}
        return {SEARCH_VAR, COLUMNS_PARAM, LAYOUT_PARAM, SORT_PARAM, *filters}

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

    def _read_scanned_page(self, request: HttpRequest) -> list[Any]:
        """Read the page of a list with a filter that has to look at each row."""
        page = read_scanned_page(
            *self._get_rows_to_scan(),
            self._scan,
            request.GET.get(PAGE_VAR, ""),
            self.list_per_page,
            self.joined_keys,
        )
        self.scanned_page, self.can_show_all, self.multi_page = page, False, False
        is_all = page.is_first and not page.next
        self.result_count = len(page.keys) if is_all else pagination.UnknownCount(len(page.keys) + 1)
        self.paginator.template_name = "ops/admin/keyset_pages.html"
        self.page_links = [] if is_all else self._build_links(First=not page.is_first and "1", Next=page.next)
        return page.keys

    def _get_rows_to_scan(self) -> tuple[QuerySet[Any], QuerySet[Any]]:
        """Return the table and the rows to look at: where the other conditions find few rows, only these."""
        table = self.root_queryset.order_by(*self.queryset.query.order_by)
        if len(self.conditions) > len(self._scanned_filters):
            limit = self.paginator.limit
            keys = list(self.rows_to_scan.values_list("pk", flat=True)[: limit + 1])
            if len(keys) <= limit:
                return (few := table.filter(pk__in=keys)), few
        return table, self.rows_to_scan

    @property
    def scanned_rows(self) -> str:
        """How many rows were looked at for this page, where the list goes on."""
        page = self.scanned_page
        return f"{SCANNED_ROWS:,}" if page and page.next and len(page.keys) < self.list_per_page else ""

    def _read_keyset_page(self, request: HttpRequest) -> list[Any]:
        """Read the page of a list that is too long for numbers; [] where it has numbers."""
        if self.paginator.is_exact or not is_keyset_ordered(self.queryset):
            return []
        page = read_page(self.queryset, request.GET.get(PAGE_VAR, ""), self.list_per_page, self.joined_keys)
        if page is None:
            page = KeysetPage(self._get_page_keys(), self.page_num > 1, True)
        self.paginator.template_name = "ops/admin/keyset_pages.html"
        self.page_links = self._build_links(
            First=page.has_previous and "1",
            Previous=page.previous,
            Next=page.next,
            Last=page.has_next and LAST,
        )
        return page.keys

    @property
    def joined_keys(self) -> list[str]:
        """The rows' key in the tables that the search and the filters read."""
        keys = [self.model_admin.search_key if self.query else ""]
        return [key for key in keys + [getattr(spec, "joined_key", "") for spec in self.used_filters] if key]

    def _build_links(self, **pages: str | bool) -> list[tuple[str, str]]:
        return [
            (label, self.get_query_string({PAGE_VAR: page}) if page else "") for label, page in pages.items()
        ]

    def _get_page_keys(self) -> list[Any]:
        try:
            return list(self.paginator.get_page_keys(self.page_num))
        except InvalidPage as exc:
            raise IncorrectLookupParameters from exc

    def read_keys(self, parameter: str, size: int) -> KeysetPage:
        """Read the keys of a page of another size. ``parameter`` is the page of this list, or of that one."""
        rows, scanned = self.queryset, self.rows_to_scan
        if not is_keyset_ordered(rows):
            rows, scanned = rows.order_by("-pk"), scanned.order_by("-pk")
        if self._scanned_filters:
            table = self.root_queryset.order_by(*rows.query.order_by)
            page = read_scanned_page(table, scanned, self._scan, parameter, size, self.joined_keys)
            return KeysetPage(page.keys, not page.is_first, bool(page.next), page.next)
        found = read_page(rows, parameter, size, self.joined_keys)
        return found or self._read_numbered_page(rows, parameter, size)

    def _read_numbered_page(self, rows: QuerySet[Any], parameter: str, size: int) -> KeysetPage:
        number = int(parameter) if parameter.isdecimal() and len(parameter) < 5 else 1
        first = max(0, number - 1) * self.list_per_page
        keys = list(rows.values_list("pk", flat=True)[first : first + size + 1])
        if not keys and first:
            return self._read_numbered_page(rows, "1", size)
        return KeysetPage(keys[:size], first > 0, len(keys) > size)


class UnreadChangeList(LargeTableChangeList):
    """The rows that a list would show; it reads no page itself."""

    def get_results(self, request: HttpRequest) -> None:
        """Read nothing."""
