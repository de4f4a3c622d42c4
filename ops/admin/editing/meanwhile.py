"""What others change while a person has the form of a row open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from ops.admin.audit.audit_entries import AuditEntries
from ops.admin.audit.history import HistoryAdmin
from ops.admin.editing.optimistic_locking import OptimisticLockingForm, list_audit_rows
from ops.admin.values.audited_objects import DELETE_ACTION, AuditedModel
from ops.admin.values.key_validation import is_valid_key
from ops.models import AuditLog
from ops.sql.audit_search import read_json_as_text

# URL parameter: the newest audit row of the object that the form knows.
AFTER_PARAM = "after"
_MAX_SHOWN_CHANGES = 20


class ChangesMeanwhileAdmin(HistoryAdmin):
    """Tells an open form, whenever its window gets the focus, who has changed what; and shows a conflict."""

    change_form_before_template = "ops/admin/meanwhile.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_changes"
        view = self.admin_site.admin_view(self.changes_view)
        return [path("<path:object_id>/changes/", view, name=name), *super().get_urls()]

    def changes_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer who changed what after an audit row, in words; "" for nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key, after = unquote(object_id), request.GET.get(AFTER_PARAM, "0")
        if not is_valid_key(after, AuditLog._meta.pk):
            raise BadRequest(f"{after!r} is not the key of an audit row")
        if self.get_object(request, key) is None:
            return JsonResponse({"text": f"This {self.opts.verbose_name} was deleted."})
        rows = list_audit_rows(self.model, key).filter(pk__gt=after)[:_MAX_SHOWN_CHANGES]
        return JsonResponse({"text": self._describe(request, list(rows))})

    def _describe(self, request: HttpRequest, rows: list[AuditLog]) -> str:
        if not rows:
            return ""
        model = AuditedModel(request, self.opts.label_lower)
        columns = {column for row in rows if isinstance(row.changes, dict) for column in row.changes}
        labels = [model.get_label(column) for column in model.sort_columns(columns)]
        people = sorted({row.performed_by or "somebody" for row in rows})
        return f"{_join(people)} changed {_join(labels)} since you opened this form."

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        form, row = context["adminform"].form, context.get("original")
        if isinstance(form, OptimisticLockingForm) and row is not None:
            context["last_change"] = form.last_change
            context["changes_url"] = reverse(
                f"admin:{self.opts.app_label}_{self.opts.model_name}_changes", args=[quote(row.pk)]
            )
            if form.conflict_since is not None:
                rows = read_json_as_text(form.read_changes_meanwhile())[:_MAX_SHOWN_CHANGES]
                context["meanwhile"] = AuditEntries(request, list(rows)).build()
                context["is_conflict"] = True
        return super().render_change_form(request, context, *args, **kwargs)

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        """Lead to the list; a form that was sent is shown again, so that nothing typed is lost."""
        list_url, key = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist"), unquote(object_id)
        if request.method != "POST":
            messages.warning(request, f"There is no {opts.verbose_name} “{key}”. It may have been deleted.")
            return HttpResponseRedirect(list_url)
        rows = list_audit_rows(self.model, key) if "\0" not in key else AuditLog.objects.none()
        deletion = rows.filter(action=DELETE_ACTION).first()
        context = {
            **self.admin_site.each_context(request),
            "opts": opts,
            "title": f"This {opts.verbose_name} is gone",
            "deletion": deletion,
            "typed": self._list_typed_values(request),
            "list_url": list_url,
            "history_url": deletion
            and reverse(f"admin:{opts.app_label}_{opts.model_name}_history", args=[object_id]),
        }
        return TemplateResponse(request, "ops/admin/gone.html", context, status=410)

    def _list_typed_values(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return the labels and the values of the fields that were sent, without the empty ones."""
        fields = self.get_form(request, None, change=False).base_fields
        typed = [
            (field.label or name, "\n".join(request.POST.getlist(name)))
            for name, field in fields.items()
            if not field.widget.is_hidden
        ]
        return [(label, value) for label, value in typed if value.strip()]


def _join(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
