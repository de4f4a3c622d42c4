"""The conflicts of a revert: rows that it left alone, with the values that it found and did not overwrite."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db import OperationalError, transaction
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ops.admin.audit.audit_search import get_history_media
from ops.admin.live.run_words import build_breadcrumb, link_run
from ops.admin.runs.run_changes import may_view_changes
from ops.admin.runs.run_facts import get_row_nouns
from ops.admin.values.audited_objects import AuditedModel
from ops.admin.values.value_diff import format_value
from ops.db import limit_statements
from ops.exceptions import OpsError
from ops.models import Lane, Run
from ops.operations.revert import get_reverted_run
from ops.runs.cell_conflicts import build_conflict_list, build_expected_conflicts, find_operation_by_cell
from ops.runs.conflicts import Conflict
from ops.runs.next_steps import RunAction, format_run_command
from ops.sql.cell_counts import is_all_written
from ops.sqlstates import QUERY_CANCELED, sqlstate
from ops.states import COMPLETED

_PAGE_SIZE = 100
_CURSOR_PARAM = "after"
_TIMEOUT = timedelta(seconds=3)
_TOO_SLOW = (
    f"To find them took longer than {_TIMEOUT.seconds} seconds and was stopped: the run changed many rows,"
    " and few of them are left. An operator can list them."
)


def may_have_conflicts(run: Run) -> bool:
    """Whether the run is a finished revert or change set that left something alone, by their counters."""
    if run.state in COMPLETED and (operation := find_operation_by_cell(run)):
        return not is_all_written(operation.cells, run)
    reverted = get_reverted_run(run)
    if reverted is None or run.state not in COMPLETED:
        return False
    is_narrowed = bool(run.scope.get("keys") or run.scope.get("filter"))
    changed = Lane.objects.filter(run__in=(reverted, run.pk)).values("run").annotate(rows=Sum("changed"))
    rows = {row["run"]: row["rows"] for row in changed}
    left = rows.get(reverted, 0) - rows.get(run.pk, 0) - run.failures.count()
    return is_narrowed or left > 0


def conflicts_view(request: HttpRequest, number: int, model_admin: Any) -> HttpResponse:
    """Show what a finished revert left alone."""
    run = _get_viewable_run(request, number, model_admin)
    found, note = _read_page(run, _read_cursor(request))
    reverted = get_reverted_run(run)
    context = {
        "title": f"What run {run.pk} left as it was",
        "reverted_link": reverted and link_run(reverted),
        "is_by_cell": find_operation_by_cell(run) is not None,
        "note": note,
        "command": format_run_command(run.pk, RunAction.CONFLICTS),
    }
    cursor = found[_PAGE_SIZE - 1].object_id if len(found) > _PAGE_SIZE else ""
    return _show(request, model_admin, run, found[:_PAGE_SIZE], cursor, context)


def expected_conflicts_view(request: HttpRequest, number: int, model_admin: Any) -> HttpResponse:
    """Show what a revert of the run would leave alone, before it is started."""
    run = _get_viewable_run(request, number, model_admin)
    try:
        page = build_expected_conflicts(run).page(_PAGE_SIZE, _read_cursor(request))
    except OpsError as exc:
        raise Http404(exc.reason.rstrip(".")) from exc
    context = {"title": f"What a revert of run {run.pk} would leave as it is", "is_expected": True}
    return _show(request, model_admin, run, page.conflicts, page.cursor, context)


def _get_viewable_run(request: HttpRequest, number: int, model_admin: Any) -> Run:
    run: Run = model_admin.get_row_or_404(request, number)
    if not may_view_changes(model_admin, request, run):
        raise PermissionDenied
    return run


def _read_cursor(request: HttpRequest) -> str:
    return request.GET.get(_CURSOR_PARAM, "").replace("\0", "")


def _show(
    request: HttpRequest,
    model_admin: Any,
    run: Run,
    conflicts: list[Conflict],
    cursor: str | None,
    context: dict[str, Any],
) -> HttpResponse:
    """Show a page of conflicts; the next one begins after the ``cursor``."""
    labels, rows = _build_rows(request, run, conflicts)
    page = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": build_breadcrumb(run),
        "media": get_history_media(request),
        "run_link": link_run(run.pk),
        "nouns": get_row_nouns(run)[1],
        "labels": labels,
        "rows": rows,
        "first_url": "?" if _read_cursor(request) else "",
        "next_url": f"?{urlencode({_CURSOR_PARAM: cursor})}" if cursor else "",
        **context,
    }
    return TemplateResponse(request, "ops/admin/run_conflicts.html", page)


def _build_rows(request: HttpRequest, run: Run, conflicts: list[Conflict]) -> tuple[list[str], list[Any]]:
    """Return the labels of the columns, and of each row its object, its cells, and whether it was deleted."""
    model = AuditedModel(request, run.model)
    objects = model.describe_objects(conflict.object_id for conflict in conflicts)
    names = model.sort_columns({name: None for conflict in conflicts for name in conflict.columns})
    rows = [
        (objects[conflict.object_id], _list_cells(model, conflict, names), conflict.is_deleted)
        for conflict in conflicts
    ]
    return [str(capfirst(model.get_label(name))) for name in names], rows


def _read_page(run: Run, after: str) -> tuple[list[Conflict], str]:
    """Return the conflicts of the page and one more, and why they cannot be shown. Raises Http404."""
    try:
        conflicts = build_conflict_list(run)
    except OpsError as exc:
        raise Http404(exc.reason.rstrip(".")) from exc
    if not may_have_conflicts(run):
        return [], ""
    try:
        with limit_statements(_TIMEOUT), transaction.atomic():
            return conflicts.page(_PAGE_SIZE + 1, after or None), ""
    except OperationalError as exc:
        if sqlstate(exc) != QUERY_CANCELED:
            raise
        return [], _TOO_SLOW


def _list_cells(model: AuditedModel, conflict: Conflict, names: list[str]) -> list[list[SafeString]]:
    """Return the formatted values of each column, the present one last; [] where it is no conflict."""
    return [
        [format_value(value, model.badges.get(name)) for value in conflict.columns.get(name, {}).values()]
        for name in names
    ]
