"""The history of a row: every change of it that the audit log has, also after the row was deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget

from ops.admin.audit.audit_entries import AuditEntries
from ops.admin.values.audited_objects import AuditedModel
from ops.admin.values.key_validation import KeyValidatingAdmin
from ops.admin.values.value_diff import Badge
from ops.models import AuditLog
from ops.sql.audit_search import AuditSearch, read_page
from ops.sql.compile import auto_now_fields

# URL parameter: where the page begins.
CURSOR_PARAM = "after"
# The persons of so many rows are offered as a filter.
_MAX_ROWS = 1_000


class HistoryForm(forms.Form):
    """The filters of a history."""

    field = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    person = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)

    def __init__(self, data: Any, columns: Mapping[str, str], persons: list[str]) -> None:
        super().__init__(data, label_suffix="")
        self.fields["field"].choices = [("", "Any field"), *columns.items()]  # type: ignore[attr-defined]
        names = [("", "Anybody"), *((name, name) for name in persons)]
        self.fields["person"].choices = names  # type: ignore[attr-defined]


class HistoryAdmin(KeyValidatingAdmin):
    """An admin whose history page reads the audit log."""

    def get_history_badges(self) -> Mapping[str, Badge]:
        """Return what formats the texts of a column, by column. Called once for a page."""
        return {}

    def get_undo_url(self, request: HttpRequest, row: Any) -> str:
        """Return where the buttons that undo a change post to; "" without such buttons."""
        return ""

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        key = unquote(object_id)
        row = self.get_object(request, key)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        label, key = self.opts.label_lower, str(row.pk) if row else key
        search = AuditSearch(objects=[(label, key)])
        is_recorded = "\0" not in key and AuditLog.objects.filter(object_type=label, object_id=key).exists()
        if row is None and not is_recorded:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, key)
            return response
        context = {
            **self.admin_site.each_context(request),
            **self._get_history_context(request, search, undo_url := self.get_undo_url(request, row)),
            "undo_url": undo_url,
            "opts": self.opts,
            "media": self.media,
            "object": row,
            "original": row,
            "title": "History",
            "is_recorded": is_recorded,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "ops/admin/history.html", context)

    def _get_history_context(
        self, request: HttpRequest, search: AuditSearch, undo_url: str
    ) -> dict[str, Any]:
        [(label, key)] = search.objects or ()
        model = AuditedModel(request, label)
        form = HistoryForm(request.GET, get_audited_columns(model), _list_persons(label, key))
        if not form.is_valid():
            raise BadRequest("the history has no such filter")
        filters = form.cleaned_data
        search = AuditSearch(search.objects, column=filters["field"], performed_by=filters["person"])
        try:
            page = read_page(search, request.GET.get(CURSOR_PARAM, ""))
        except ValueError as exc:
            raise BadRequest("the history has no such page") from exc
        query, first = request.GET.copy(), request.GET.copy()
        query[CURSOR_PARAM] = page.cursor
        first.pop(CURSOR_PARAM, None)
        return {
            "form": form,
            "subject": model.describe_objects([key])[key],
            "entries": AuditEntries(request, page.rows, may_undo=bool(undo_url)).build(),
            "is_filtered": any(filters.values()),
            "time_zone": timezone.get_current_timezone_name(),
            "is_first_page": CURSOR_PARAM not in request.GET,
            "first_url": f"?{first.urlencode()}",
            "next_url": f"?{query.urlencode()}" if page.cursor else "",
        }


def get_audited_columns(audited: AuditedModel) -> dict[str, str]:
    """Return the labels of the model's columns that are audited."""
    meta = audited.admin.opts
    ignored = [meta.pk, *auto_now_fields(audited.admin.model)]
    columns = [str(field.column) for field in meta.concrete_fields if field not in ignored]
    return {column: audited.get_label(column) for column in columns}


def _list_persons(label: str, key: str) -> list[str]:
    rows = AuditLog.objects.filter(object_type=label, object_id=key)
    return sorted(set(rows.values_list("performed_by", flat=True)[:_MAX_ROWS]))
