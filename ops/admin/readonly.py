"""What is read in the admin, never edited: each row has a page of its own instead of a form."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from ops.admin.pagination import LargeTableAdmin


class ReadOnlyAdmin(LargeTableAdmin):
    """What happened is not for the admin to change. ``page`` is the template of a row's page."""

    actions = None
    page_template: ClassVar[str]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page says of the row."""
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
        """The row, for who may see it. Raises PermissionDenied, or Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, str(number))
        if row is None:
            raise Http404(
                f"there is no {self.opts.verbose_name} {number}, or no more: a backup that was restored, or a"
                " server that took over, may not know it"
            )
        return row
