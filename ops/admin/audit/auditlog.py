"""The audit log in the admin: its search, and the page of a row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse

from ops.admin.audit.audit_entries import AuditEntries, parse_changes
from ops.admin.audit.audit_search import (
    AuditSearchForm,
    build_search,
    find_objects,
    get_history_media,
    suggest_persons,
)
from ops.admin.audit.history import CURSOR_PARAM
from ops.admin.lists.readonly import ReadOnlyAdmin
from ops.admin.values.json_display import parse_json_exactly, pretty_json
from ops.db import limit_statements
from ops.models import AuditLog, Run
from ops.sql.audit_search import SCANNED_ROWS, AuditSearch, read_json_as_text, read_page
from ops.sql.counts import estimate_row_count
from ops.sqlstates import QUERY_CANCELED, sqlstate

# A page takes a fraction of it, unless the search for an object's name reads a large table.
_TIMEOUT = timedelta(seconds=3)
_MAX_RUNS = 5
_TOO_SLOW = (
    f"This search took longer than {_TIMEOUT.seconds} seconds and was stopped. Search for an id instead of a"
    " name, or choose a kind."
)


@admin.register(AuditLog)
class AuditLogAdmin(ReadOnlyAdmin):
    has_views = False  # its page is a search, not a list
    page_template = "ops/admin/audit.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditLog]:
        return read_json_as_text(super().get_queryset(request))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the search in place of Django's list, which counts, sorts and filters without a bound."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        form = AuditSearchForm(request)
        if unknown := set(request.GET) - {*form.fields, CURSOR_PARAM}:
            raise BadRequest(f"the audit log has no filter {', '.join(sorted(unknown))}")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": get_history_media(request),
            "title": "Audit log",
            "form": form,
            "persons": suggest_persons(),
            "estimate": f"{estimate:,}" if (estimate := estimate_row_count(AuditLog)) > 0 else "",
            "scanned_rows": f"{SCANNED_ROWS:,}",
            "first_url": _get_first_url(request),
            "is_first_page": CURSOR_PARAM not in request.GET,
            **(self._search(request, form) if form.is_valid() else {"note": "Correct the marked filters."}),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "ops/admin/audit_log.html", context)

    def _search(self, request: HttpRequest, form: AuditSearchForm) -> dict[str, Any]:
        context: dict[str, Any] = {"filters": form.list_filters(request)}
        try:
            with limit_statements(_TIMEOUT), transaction.atomic():
                return {**context, **self._read_page(request, form)}
        except OperationalError as exc:
            if sqlstate(exc) != QUERY_CANCELED:
                raise
            return {**context, "note": _TOO_SLOW}

    def _read_page(self, request: HttpRequest, form: AuditSearchForm) -> dict[str, Any]:
        found = find_objects(request, form.cleaned_data["object"], form.cleaned_data["kind"])
        search, cursor = build_search(request, form, found), request.GET.get(CURSOR_PARAM, "")
        try:
            page = read_page(search, cursor)
        except ValueError as exc:
            raise BadRequest("the audit log has no such page") from exc
        query = request.GET.copy()
        query[CURSOR_PARAM] = page.cursor
        return {
            "note": found.note,
            "entries": AuditEntries(request, page.rows).build(),
            "runs": self._find_runs(request, search) if search.is_of_person else [],
            "run": search.run_id,
            "next_url": f"?{query.urlencode()}" if page.cursor else "",
            "reached": page.reached if not search.is_of_run else None,
            "is_scanned": page.reached is not None,
        }

    def _find_runs(self, request: HttpRequest, search: AuditSearch) -> list[tuple[Run, str]]:
        """The newest runs of the person that may have written what is searched for, and what they changed."""
        if not self.admin_site.get_model_admin(Run).has_view_permission(request):
            return []
        runs = Run.objects.filter(performed_by=search.performed_by).order_by("-pk")
        if search.object_type:
            runs = runs.filter(model__iexact=search.object_type)
        if search.column:
            runs = runs.filter(columns__contains=[search.column])
        if search.since:
            runs = runs.filter(Q(finished_at=None) | Q(finished_at__gte=search.since))
        if search.until:
            runs = runs.filter(created_at__lt=search.until)
        query = request.GET.copy()
        for param in (CURSOR_PARAM, "person"):
            query.pop(param, None)
        found = []
        for run in runs[:_MAX_RUNS]:
            query["run"] = str(run.pk)
            found.append((run, f"?{query.urlencode()}"))
        return found

    def get_page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        [entry] = AuditEntries(request, [row]).build()
        is_shown = not entry.is_secret
        return {
            "media": get_history_media(request),
            "entry": entry,
            "facts": {"action": row.action, "object": f"{row.object_type} {row.object_id}"},
            "stored": is_shown and pretty_json(parse_changes(row.changes_)),
            "metadata": is_shown and row.metadata_ and pretty_json(parse_json_exactly(row.metadata_)),
        }


def _get_first_url(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop(CURSOR_PARAM, None)
    return f"?{query.urlencode()}"
