"""Base class of read-only admins: each row has a page instead of a form."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from ops.admin.lists.large_tables import LargeTableAdmin


class ReadOnlyAdmin(LargeTableAdmin):
    """Rows that the admin never adds, changes or deletes. ``page_template`` renders the page of one."""

    actions = None
    page_template: ClassVar[str]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the template context of the row's page."""
        raise NotImplementedError

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.get_row_or_404(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": capfirst(f"{self.opts.verbose_name} {row.pk}"),
            **self.get_page_context(request, row),
        }
        return TemplateResponse(request, self.page_template, context)

    def get_row_or_404(self, request: HttpRequest, number: object) -> Any:
        """Return the row. Raises PermissionDenied if the user may not view it, Http404 if there is none."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, str(number))
        if row is None:
            raise Http404(
                f"There is no {self.opts.verbose_name} {number}. If it existed before, a restored backup or a"
                " failover to a standby may have lost it"
            )
        return row
