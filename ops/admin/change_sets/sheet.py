"""A list edited as in a spreadsheet: the page with the cells, and what its script asks for and posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from ops.admin.change_sets.change_sets import ChangeSetsAdmin
from ops.admin.change_sets.json_body import BodyTooLarge, answer, read_json_body
from ops.admin.change_sets.sheet_cells import stage_sheet
from ops.admin.change_sets.sheet_columns import SheetColumn, build_column, cell_expression, format_cell
from ops.admin.lists.keyset_pages import KeysetPage
from ops.admin.lists.list_layout import LAYOUT_PARAMS
from ops.admin.values.key_validation import is_storable, is_valid_key
from ops.change_sets.staging import CellsRefused, NothingToChange

SHEET_ROWS = 500
# So many rows can be pasted at once.
MAX_PASTED_ROWS = 5_000


class SheetAdmin(ChangeSetsAdmin):
    """An admin whose list can be edited as a sheet, by who may change its rows."""

    # The column by which pasted rows name their row, for example ``card_id``: unique, and not edited here.
    sheet_key = ""

    def get_sheet_columns(self, request: HttpRequest) -> Sequence[str]:
        """Return the names of the fields that are edited in a sheet."""
        raise NotImplementedError

    def get_sheet_choices(self, request: HttpRequest) -> Mapping[str, Sequence[str]]:
        """Return what a column may hold, by its name, where that is not any text."""
        return {}

    def get_urls(self) -> list[URLPattern]:
        def route(address: str, view: Any, name: str) -> Any:
            full_name = self.get_url_name(name).removeprefix("admin:")
            return path(address, self.admin_site.admin_view(view), name=full_name)

        return [
            route("sheet/", self.sheet_view, "sheet"),
            route("sheet/rows/", self.sheet_rows_view, "sheet_rows"),
            *super().get_urls(),
        ]

    def sheet_view(self, request: HttpRequest) -> HttpResponse:
        self._require_editor(request)
        query = request.GET.copy()
        parameter = query.pop(PAGE_VAR, [""])[-1]
        for name in LAYOUT_PARAMS[:2]:
            query.pop(name, None)
        changelist = self.filter_list(request, query)
        page = changelist.read_keys(parameter, SHEET_ROWS)
        columns = self._build_columns(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Edit {self.opts.verbose_name_plural} as a sheet",
            "conditions": changelist.conditions,
            "list_url": _join(reverse(self.get_url_name("changelist")), query.urlencode()),
            "change_sets_url": reverse(self.get_url_name("changeset")),
            "row_count": len(page.keys),
            "size": SHEET_ROWS,
            "columns": list(columns.values()),
            "data": self._build_data(request, columns, page),
            **_build_links(request, page),
        }
        return TemplateResponse(request, "ops/admin/sheet.html", context)

    def sheet_rows_view(self, request: HttpRequest) -> HttpResponse:
        """Answer the rows of the posted keys, which are primary keys or values of the ``sheet_key``."""
        self._require_editor(request)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            asked = read_json_body(request)
        except BodyTooLarge as exc:
            return answer(413, str(exc))
        field, keys = _read_keys(asked)
        if len(keys) > MAX_PASTED_ROWS:
            return answer(413, f"These are {len(keys):,} rows. Paste at most {MAX_PASTED_ROWS:,} at once.")
        rows = self.get_queryset(request)
        if field == "pk":
            keys = [key for key in keys if is_valid_key(key, self.opts.pk)]
        else:
            field, keys = self.sheet_key, [key for key in keys if is_storable(key)]
        return JsonResponse({"rows": self._read_rows(request, rows.filter(**{f"{field}__in": keys}))})

    def create_change_set_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_change_permission(request):
            return answer(403, f"You may not change {self.opts.verbose_name_plural} any more.")
        try:
            asked = read_json_body(request)
            cells = asked.get("cells") if isinstance(asked, dict) else None
            change_set = stage_sheet(self.model, self._build_columns(request), cells, request.user)
        except BodyTooLarge as exc:
            return answer(413, str(exc))
        except CellsRefused as exc:
            return answer(422, exc.reason, errors=[list(error) for error in exc.errors])
        except NothingToChange as exc:
            return answer(409, exc.reason)
        url = reverse(self.get_url_name("changeset_detail"), args=[change_set.pk])
        return JsonResponse({"url": url, "number": change_set.pk}, status=201)

    def _require_editor(self, request: HttpRequest) -> None:
        if not (self.has_view_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied

    def _build_columns(self, request: HttpRequest) -> dict[str, SheetColumn]:
        choices = self.get_sheet_choices(request)
        names = self.get_sheet_columns(request)
        return {name: build_column(self.model, name, choices.get(name, ())) for name in names}

    def _build_data(
        self, request: HttpRequest, columns: Mapping[str, SheetColumn], page: KeysetPage
    ) -> dict[str, Any]:
        key_label = str(self.opts.get_field(self.sheet_key).verbose_name)
        rows = self._read_rows(request, self.get_queryset(request).filter(pk__in=page.keys))
        by_key = {row["key"]: row for row in rows}
        return {
            "key": {"name": self.sheet_key, "label": key_label[:1].upper() + key_label[1:]},
            "columns": [column.as_json() for column in columns.values()],
            "rows": [by_key[str(key)] for key in page.keys if str(key) in by_key],
            "noun": str(self.opts.verbose_name),
            "nouns": str(self.opts.verbose_name_plural),
            "person": request.user.pk,
            "list": self.opts.label_lower,
            "drafts": self.list_draft_numbers(request),
            "rows_url": reverse(self.get_url_name("sheet_rows")),
            "review_url": reverse(self.get_url_name("changeset")),
        }

    def _read_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> list[dict[str, Any]]:
        columns = list(self._build_columns(request).values())
        texts = {f"cell_{n}": cell_expression(self.model, column) for n, column in enumerate(columns)}
        found = rows.order_by().annotate(**texts).values_list("pk", self.sheet_key, *texts)
        return [
            {"key": str(pk), "id": key, "values": [*map(format_cell, columns, values)]}
            for pk, key, *values in found
        ]


def _build_links(request: HttpRequest, page: KeysetPage) -> dict[str, str]:
    def link(parameter: str) -> str:
        query = request.GET.copy()
        query.pop(PAGE_VAR, None)
        if parameter:
            query[PAGE_VAR] = parameter
        return f"?{query.urlencode()}"

    return {
        "first_url": link("") if page.has_previous else "",
        "next_url": link(page.next) if page.has_next else "",
    }


def _join(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url


def _read_keys(asked: Any) -> tuple[str, list[str]]:
    """Return whether the keys are primary keys, and the keys. Raises BadRequest."""
    for name, field in (("keys", "pk"), ("ids", "")):
        keys = asked.get(name) if isinstance(asked, dict) else None
        if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
            return field, list(dict.fromkeys(keys))
    raise BadRequest("rows are asked for by a list of keys, or of ids")
