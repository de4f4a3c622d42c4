"""Undo of single changes from a row's history: a button makes a change set, whose page previews it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from ops.admin.audit.history import HistoryAdmin
from ops.admin.values.key_validation import is_valid_key
from ops.change_sets.undo import UndoRefused, stage_undo
from ops.models import AuditLog

# What the button posts: the key of the audit row, and a column, or "" for all of them.
AUDIT_FIELD, COLUMN_FIELD = "audit", "column"


class UndoAdmin(HistoryAdmin):
    """An admin with the pages of change sets; its history undoes single changes, for who may change rows."""

    def get_urls(self) -> list[URLPattern]:
        name = self.get_url_name("undo").removeprefix("admin:")
        view = self.admin_site.admin_view(self.undo_view)
        return [path("<path:object_id>/undo/", view, name=name), *super().get_urls()]

    def get_undo_url(self, request: HttpRequest, row: Any) -> str:
        if row is None or not self.has_change_permission(request, row):
            return ""
        return reverse(self.get_url_name("undo"), args=[quote(row.pk)])

    def undo_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stage the undo of the posted change, and lead to the page that previews and starts it."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            column = request.POST.get(COLUMN_FIELD, "")
            change_set = stage_undo(self._get_posted_change(request, row), request.user, column)
        except UndoRefused as exc:
            messages.error(request, f"Nothing was undone. {exc.reason}")
            return HttpResponseRedirect(reverse(self.get_url_name("history"), args=[quote(row.pk)]))
        return HttpResponseRedirect(reverse(self.get_url_name("changeset_detail"), args=[change_set.pk]))

    def _get_posted_change(self, request: HttpRequest, row: Any) -> AuditLog:
        key = request.POST.get(AUDIT_FIELD, "")
        if not is_valid_key(key, AuditLog._meta.pk):
            raise BadRequest(f"{key!r} is not the key of an audit row")
        audits = AuditLog.objects.filter(object_type=self.opts.label_lower, object_id=str(row.pk))
        audit = audits.filter(pk=key).first()
        if audit is None:
            raise Http404(f"The history of this {self.opts.verbose_name} has no change {key}")
        return audit
