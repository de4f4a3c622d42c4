"""Base class of admins of tables of millions of rows."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ShowFacets
from django.http import HttpRequest

from ops.admin.changelist import LargeTableChangeList
from ops.admin.key_validation import KeyValidatingAdmin
from ops.admin.pagination import LargeTablePaginator


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
        css = {"all": ["ops/admin.css", "ops/list.css"]}

    def get_url_name(self, view: str) -> str:
        """Return the URL name of one of this model's views: ``admin:cards_card_operate``."""
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LargeTableChangeList]:
        return LargeTableChangeList
