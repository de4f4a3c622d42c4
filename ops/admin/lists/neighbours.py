"""Links from a row's page to the rows before and after it in the list that its user came from."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse

from ops.admin.lists.keyset_pages import SCANNED_ROWS, find_neighbour
from ops.admin.lists.large_tables import LargeTableAdmin
from ops.admin.lists.selection import CHANGELIST_PARAM

DIRECTION_PARAM, PREVIOUS = "to", "previous"


class NeighboursAdmin(LargeTableAdmin):
    """Looks for a neighbour when its link is followed, so that the page of a row costs nothing more."""

    def get_urls(self) -> list[URLPattern]:
        name = self.get_url_name("neighbour").removeprefix("admin:")
        view = self.admin_site.admin_view(self.neighbour_view)
        return [path("<path:object_id>/neighbour/", view, name=name), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        context["neighbour_view"] = self.get_url_name("neighbour")
        return super().render_change_form(request, context, *args, **kwargs)

    def neighbour_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Redirect to the next row, or to the previous one; at the end of the list, to the row itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key, is_previous = unquote(object_id), request.GET.get(DIRECTION_PARAM) == PREVIOUS
        changelist = self.filter_list(request, QueryDict(request.GET.get(CHANGELIST_PARAM, "")))
        table = changelist.scanned_table
        found, is_end = find_neighbour(changelist.queryset, key, is_previous, changelist.joined_keys, table)
        if found is None:
            place, name = "first" if is_previous else "last", self.opts.verbose_name
            cut = f"None of the next {SCANNED_ROWS:,} {self.opts.verbose_name_plural} is in the list."
            messages.info(request, f"This is the {place} {name} of the list." if is_end else cut)
        url = reverse(self.get_url_name("change"), args=[quote(key if found is None else found)])
        preserved = {"opts": self.opts, "preserved_filters": self.get_preserved_filters(request)}
        return HttpResponseRedirect(add_preserved_filters(preserved, url))
