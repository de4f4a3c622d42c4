"""The rows that failed in a run, as links to their pages in the admin, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from ops.admin.runs.failure_reasons import explain_failure
from ops.admin.runs.run_facts import find_model, get_row_nouns
from ops.formatting import pluralize
from ops.models import Run
from ops.runs.row_lists import FailedRows


@dataclass(frozen=True)
class FailedRowItem:
    """``url`` is "" where the row has no page, or none that the user may view."""

    key: str
    name: str
    url: str
    reason: str
    error: str
    to_retry: bool


@dataclass(frozen=True)
class FailedRowPage:
    """``total_text`` counts all failed rows of the run; ``next_key`` is "" on the last page."""

    rows: list[FailedRowItem]
    total_text: str
    next_key: str


def read_failed_rows(
    request: HttpRequest, site: AdminSite, run: Run, limit: int, after: str | None = None
) -> FailedRowPage:
    failed, model = FailedRows(run), find_model(run)
    rows = failed.page(limit + 1, after)
    page = rows[:limit]
    urls = _find_urls(request, site, model, [row.object_id for row in page])
    items = [
        FailedRowItem(
            row.object_id,
            row.name,
            urls.get(row.object_id, ""),
            explain_failure(row.error, model) if model else row.error.partition("\n")[0],
            row.error,
            row.to_retry,
        )
        for row in page
    ]
    one, many = get_row_nouns(run)
    total = pluralize(failed.count(), one, many)
    return FailedRowPage(items, total, page[-1].object_id if len(rows) > limit else "")


def _find_urls(
    request: HttpRequest, site: AdminSite, model: type[Model] | None, keys: list[str]
) -> Mapping[str, str]:
    """Return the pages of the rows that still exist, by key."""
    try:
        model_admin = site.get_model_admin(model) if model and keys else None
    except NotRegistered:
        model_admin = None
    if model is None or model_admin is None or not model_admin.has_view_permission(request):
        return {}
    name = f"{site.name}:{model._meta.app_label}_{model._meta.model_name}_change"
    found = model._base_manager.filter(pk__in=keys).values_list("pk", flat=True)
    return {str(pk): reverse(name, args=[quote(str(pk))]) for pk in found}
