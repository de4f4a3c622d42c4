"""What a run changed: a page to browse, with a search, and a CSV file to download."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from ops import permissions
from ops.admin.audit.audit_entries import AuditEntries, AuditEntry, parse_changes
from ops.admin.audit.audit_search import FoundObjects, find_objects, get_history_media
from ops.admin.live.run_words import build_breadcrumb, link_run, name_run
from ops.admin.runs.run_facts import get_row_nouns
from ops.admin.values.audited_objects import AuditedModel
from ops.admin.values.json_display import format_inline
from ops.csv_cells import BYTE_ORDER_MARK, format_rows
from ops.models import AuditLog, Run
from ops.runs.row_lists import get_display_names
from ops.sql.audit_search import AuditSearch, read_page

_SEARCH_PARAM, _CURSOR_PARAM = "q", "after"
_MAX_SEARCH_LENGTH = 255
# Rows of the file that are read at a time.
_CHUNK_SIZE = 1_000


@dataclass(frozen=True)
class ChangedRow:
    """``cells`` are the labels and the changes of the table's columns, "" where one did not change."""

    entry: AuditEntry
    cells: list[tuple[str, SafeString]]


def may_view_changes(model_admin: Any, request: HttpRequest, run: Run) -> bool:
    """Whether the user may see audit rows, and the values of the run's model."""
    log = model_admin.admin_site.get_model_admin(AuditLog)
    return log.has_view_permission(request) and AuditedModel(request, run.model).may_read_values


def may_download_changes(model_admin: Any, request: HttpRequest, run: Run) -> bool:
    may_export: bool = request.user.has_perm(permissions.EXPORT_PERMISSION)
    return may_export and may_view_changes(model_admin, request, run)


def changes_view(request: HttpRequest, number: int, model_admin: Any) -> HttpResponse:
    run = model_admin.get_row_or_404(request, number)
    if not may_view_changes(model_admin, request, run):
        raise PermissionDenied
    text = request.GET.get(_SEARCH_PARAM, "").strip()[:_MAX_SEARCH_LENGTH]
    found = _find_objects(request, run, text)
    try:
        page = read_page(AuditSearch(found.pairs, run_id=run.pk), request.GET.get(_CURSOR_PARAM, ""))
    except ValueError as exc:
        raise BadRequest("the changes have no such page") from exc
    entries = AuditEntries(request, page.rows).build()
    labels = list(dict.fromkeys(field.label for entry in entries for field in entry.fields))
    one, many = get_row_nouns(run)
    url = model_admin.get_url_name
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": build_breadcrumb(run),
        "title": f"What run {run.pk} changed",
        "media": get_history_media(request),
        "run_link": link_run(run.pk),
        "run_name": name_run(run),
        "noun": one,
        "nouns": many,
        "labels": labels,
        "rows": [_build_row(entry, labels) for entry in entries],
        "search": text,
        "note": found.note,
        "download": may_download_changes(model_admin, request, run) and url("download"),
        "number": run.pk,
        "is_first_page": _CURSOR_PARAM not in request.GET,
        "first_url": f"?{urlencode({_SEARCH_PARAM: text})}" if text else "?",
        "next_url": page.cursor and f"?{urlencode({_SEARCH_PARAM: text, _CURSOR_PARAM: page.cursor})}",
    }
    return TemplateResponse(request, "ops/admin/run_changes.html", context)


def _find_objects(request: HttpRequest, run: Run, text: str) -> FoundObjects:
    """Find the rows by name, or by their key where their model has no search."""
    if not text or "\0" in text:
        return FoundObjects()
    found = find_objects(request, text, run.model)
    return found if found.pairs else FoundObjects([(run.model, text)], found.note)


def _build_row(entry: AuditEntry, labels: list[str]) -> ChangedRow:
    values = {field.label: field.value for field in entry.fields}
    return ChangedRow(entry, [(label, values.get(label, SafeString(""))) for label in labels])


def download_view(request: HttpRequest, number: int, model_admin: Any) -> Any:
    """Stream all changes of the run as CSV."""
    run = model_admin.get_row_or_404(request, number)
    if not may_download_changes(model_admin, request, run):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    headers = {
        "Content-Disposition": f'attachment; filename="run-{run.pk}-changes.csv"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    lines = _iter_lines(run)
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _iter_lines(run: Run) -> Iterator[str]:
    pairs = [f"{column} {side}" for column in run.columns for side in ("before", "after")]
    yield BYTE_ORDER_MARK + format_rows([["key", get_row_nouns(run)[0], *pairs]])
    cursor, search = "", AuditSearch(run_id=run.pk)
    while True:
        page = read_page(search, cursor, _CHUNK_SIZE)
        names = get_display_names(run, [row.object_id for row in page.rows])
        yield format_rows(
            [row.object_id, names[row.object_id], *_list_values(run, parse_changes(row.changes_))]
            for row in page.rows
        )
        cursor = page.cursor
        if not cursor:
            return


def _list_values(run: Run, changes: dict[str, Any]) -> Iterator[str]:
    for column in run.columns:
        change = changes.get(column)
        for side in ("old", "new"):
            value = change.get(side) if isinstance(change, dict) else None
            yield "" if value is None else format_inline(value)
