"""Base class of admins of tables of millions of rows."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.safestring import SafeString

from ops.admin.lists.changelist import LargeTableChangeList, UnreadChangeList
from ops.admin.lists.list_layout import choose_columns
from ops.admin.lists.pagination import MAX_COUNTED_MATCHES, LargeTablePaginator
from ops.admin.lists.saved_views import SavedViewsAdmin


class LargeTableAdmin(SavedViewsAdmin):
    """An admin whose list stays fast at any number of rows."""

    paginator = LargeTablePaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    # The rows' key in the table that a search reads, if it is another table: ``search__pk``.
    search_key = ""
    list_before_template = "ops/admin/list_tools.html"
    # Columns of ``list_display`` that are shown only if they are chosen.
    hidden_columns: Sequence[str] = ()
    # How many of the rows that a search finds the command palette offers.
    palette_rows = 0
    # Whether the list has a grid, of what ``format_tile`` returns.
    has_grid = False
    # What a person should know about the search who has found nothing.
    no_match_help = ""

    class Media:
        css = {"all": ["ops/admin.css", "ops/list.css"]}
        js = ["ops/list_keys.js"]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        declared = [*super().get_list_display(request)]
        usual = [name for name in declared if name not in self.hidden_columns]
        return choose_columns(request, declared, usual, self.get_fixed_column())

    def get_fixed_column(self) -> str:
        """Return the column that leads to the row's page, which cannot be hidden."""
        return str([*(self.list_display_links or self.list_display)][-1 if self.list_display_links else 0])

    def find_rows(self, request: HttpRequest, term: str) -> Iterable[Any]:
        """Find the rows that the command palette offers for a term: ``palette_rows`` at most."""
        if not self.palette_rows:
            return []
        found, _ = self.get_search_results(request, self.get_queryset(request), term)
        ordered = found.order_by(*self.get_ordering(request))
        # More keys than are shown: for a few rows, PostgreSQL would walk the order of the list to its end.
        keys = list(ordered.values_list("pk", flat=True)[:MAX_COUNTED_MATCHES])[: self.palette_rows]
        rows: QuerySet[Any] = self.get_queryset(request).filter(pk__in=keys)
        return rows.order_by(*self.get_ordering(request))

    def describe_row(self, row: Any) -> tuple[str, str]:
        """Return what the command palette calls the row, and what it is."""
        return str(row), str(self.opts.verbose_name)

    def format_tile(self, row: Any) -> SafeString:
        """Return what the grid shows of a row."""
        raise NotImplementedError

    def filter_list(self, request: HttpRequest, query: QueryDict) -> LargeTableChangeList:
        """Return the list of this query, in its order, without reading a page of it. Raises BadRequest."""
        list_request: Any = copy.copy(request)
        list_request.GET = query
        list_request.reads_no_page = True
        try:
            changelist: LargeTableChangeList = self.get_changelist_instance(list_request)
        except IncorrectLookupParameters as exc:
            raise BadRequest("the list has no such filter") from exc
        return changelist

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LargeTableChangeList]:
        return UnreadChangeList if getattr(request, "reads_no_page", False) else LargeTableChangeList
