"""The export as a bulk action of a model's list, with a page for its options; the workers execute it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from ops import permissions
from ops.admin.lists.selection import Selection
from ops.admin.starting.forms import style_widgets
from ops.admin.starting.operations import OperationsAdmin
from ops.exceptions import OpsError
from ops.export import queue
from ops.export.files import FORMATS, FileFormat
from ops.export.request import DEFAULT_AUDIT_ROWS, ExportRequest
from ops.operations.scope import Scope

EXPORT_ACTION = "export"


class ExportForm(forms.Form):
    """The options of an export, without its rows."""

    format = forms.ChoiceField(
        choices=[(name, name) for name in FORMATS],
        help_text="json: one array per file. jsonl: one object per line. csv: for spreadsheets.",
    )
    compress = forms.BooleanField(required=False, help_text="Compress the files with gzip.")
    audit_logs = forms.IntegerField(
        min_value=0,
        required=False,
        initial=DEFAULT_AUDIT_ROWS,
        help_text="Number of audit rows to export, the newest ones. Leave empty to export all.",
    )

    def get_export_request(self, scope: Scope) -> ExportRequest:
        options = self.cleaned_data
        return ExportRequest(FileFormat(options["format"], options["compress"]), scope, options["audit_logs"])


class ExportableAdmin(OperationsAdmin):
    """A list whose rows can be exported, together with what the setting EXPORT_PARTS adds."""

    def get_urls(self) -> list[URLPattern]:
        view, name = (
            self.admin_site.admin_view(self.export_view),
            self.get_url_name(EXPORT_ACTION).removeprefix("admin:"),
        )
        return [path(f"{EXPORT_ACTION}/", view, name=name), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        if self._may_export(request):
            actions[EXPORT_ACTION] = (_redirect_to_export, EXPORT_ACTION, "Export")
        return actions

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Show the form for the rows that the URL selects; for POST, request the export."""
        if not self._may_export(request):
            raise PermissionDenied
        selection = Selection.from_url(request)
        back_url = reverse(self.get_url_name("changelist"), query=selection.changelist_query)
        form = style_widgets(ExportForm(request.POST if request.method == "POST" else None))
        try:
            scope, description = selection.resolve_scope(request, self)
            if form.is_valid():
                return _start_export(request, form.get_export_request(scope))
            datasets = ExportRequest(scope=scope).datasets()
            files = [dataset.name.replace("_", " ") for dataset in datasets]
        except OpsError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(back_url)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Export",
            "scope_description": description,
            "files": files,
            "form": form,
            "back_url": back_url,
        }
        return TemplateResponse(request, "ops/admin/exporting.html", context)

    def _may_export(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and request.user.has_perm(permissions.EXPORT_PERMISSION)


def _start_export(request: HttpRequest, export_request: ExportRequest) -> HttpResponse:
    export, warning = queue.request_export(export_request, request.user.get_username())
    if warning:
        messages.warning(request, warning)
    return HttpResponseRedirect(reverse("admin:ops_export_change", args=[export.pk]))


def _redirect_to_export(
    model_admin: ExportableAdmin, request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse:
    """Lead from the list to the export's form."""
    return HttpResponseRedirect(
        reverse(
            model_admin.get_url_name(EXPORT_ACTION), query=Selection.from_changelist(request).query_params
        )
    )
