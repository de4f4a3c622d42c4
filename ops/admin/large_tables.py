"""Base class of admins of tables of millions of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import ShowFacets
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ops.admin.changelist import LargeTableChangeList
from ops.admin.list_layout import choose_columns
from ops.admin.pagination import LargeTablePaginator
from ops.admin.saved_views import SavedViewsAdmin


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
    # Whether the list has a grid, of what ``format_tile`` returns.
    has_grid = False
    # What a person should know about the search who has found nothing.
    no_match_help = ""

    class Media:
        css = {"all": ["ops/admin.css", "ops/list.css"]}

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        declared = [*super().get_list_display(request)]
        usual = [name for name in declared if name not in self.hidden_columns]
        return choose_columns(request, declared, usual, self.get_fixed_column())

    def get_fixed_column(self) -> str:
        """Return the column that leads to the row's page, which cannot be hidden."""
        return str([*(self.list_display_links or self.list_display)][-1 if self.list_display_links else 0])

    def format_tile(self, row: Any) -> SafeString:
        """Return what the grid shows of a row."""
        raise NotImplementedError

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LargeTableChangeList]:
        return LargeTableChangeList
