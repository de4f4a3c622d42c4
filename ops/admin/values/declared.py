"""Lists that do only what they declare: their own actions, filters and columns to sort by."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.views.main import ORDER_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.views import ChangeList


class DeclaredChangeList(ChangeList):  # type: ignore[misc]
    """Refuses a lookup that belongs to no filter of the list, and ignores columns that it does not sort by.

    Django accepts any lookup of any column of the table, and sorts by any column that is shown: on the audit
    log one address in the browser would read the whole table.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        """Raises DisallowedModelAdminLookup, which is answered with 400."""
        specs, has_filters, undeclared, *rest = super().get_filters(request)
        if undeclared:
            raise DisallowedModelAdminLookup(f"The list has no filter for {', '.join(undeclared)}")
        return specs, has_filters, undeclared, *rest

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        if ORDER_VAR in self.params and not self._is_declared_order(self.params[ORDER_VAR]):
            messages.warning(request, "The list cannot be sorted by that column. It is in its usual order.")
            del self.params[ORDER_VAR]
        return super().get_ordering(request, queryset)

    def _is_declared_order(self, order: str) -> bool:
        declared = {str(n) for n, name in enumerate(self.list_display) if name in self.sortable_by}
        return declared.issuperset(column.removeprefix("-") for column in order.split(".") if column)


class DeclaredListAdmin(ModelAdmin):  # type: ignore[misc]
    """An admin whose list refuses what it does not offer to its user."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DeclaredChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Answer 403 to an action that the user may not take; Django would show the list again."""
        requested = {*request.POST.getlist("action")} - {""}
        if requested and not requested <= self.get_actions(request).keys():
            raise PermissionDenied
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response
