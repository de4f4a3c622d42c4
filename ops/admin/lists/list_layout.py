"""How a list is shown: its columns, its order, as a table or as a grid. All of it is in the URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import label_for_field
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ops.admin.lists.filters import list_hidden_fields
from ops.admin.lists.table import Table
from ops.permissions import SHARE_VIEW

# URL parameters: the columns; table or grid; the order by names of columns, since Django's ``o`` counts the
# columns, which differ by user; and the view that the list was opened by.
COLUMNS_PARAM, LAYOUT_PARAM, SORT_PARAM, VIEW_PARAM = "columns", "layout", "sort", "view"
LAYOUT_PARAMS = (COLUMNS_PARAM, LAYOUT_PARAM, SORT_PARAM, VIEW_PARAM)
TABLE, GRID = "table", "grid"


@dataclass(frozen=True)
class Column:
    """A column that a person may show or hide."""

    name: str
    label: str
    is_shown: bool
    is_fixed: bool


@dataclass(frozen=True)
class Tile:
    """A row as it is shown in the grid. ``content`` is in the link to the row."""

    key: Any
    name: str
    url: str
    content: SafeString


class ListLayout:
    """The layout that the URL of a list asks for."""

    def __init__(self, request: HttpRequest, changelist: Any) -> None:
        self._request, self._list = request, changelist
        self._admin = changelist.model_admin
        self.has_grid = self._admin.has_grid
        self.table = Table(changelist)
        self.is_grid = self.has_grid and request.GET.get(LAYOUT_PARAM) == GRID

    @property
    def toggle(self) -> list[tuple[str, str, str, bool]]:
        """Return (label, icon, URL, whether it is shown now) of the table and of the grid."""
        return [
            (label, icon, self._list.get_query_string({LAYOUT_PARAM: value}), self.is_grid == bool(value))
            for label, icon, value in (("Table", "table_rows", None), ("Grid", "grid_view", GRID))
        ]

    @property
    def sheet_url(self) -> str:
        """The list as a sheet, from the page that is shown; "" where the user may not edit it so."""
        if not getattr(self._admin, "sheet_key", "") or not self._admin.has_change_permission(self._request):
            return ""
        page = self._request.GET.get(PAGE_VAR)
        changed = {
            COLUMNS_PARAM: None,
            LAYOUT_PARAM: None,
            SORT_PARAM: self.sort or None,
            ORDER_VAR: None,
            PAGE_VAR: page,
        }
        return f"{reverse(self._admin.get_url_name('sheet'))}{self._list.get_query_string(changed)}"

    @property
    def columns(self) -> list[Column]:
        fixed, shown = self._admin.get_fixed_column(), self._list.list_display
        return [
            Column(name, self._get_label(name), name in shown, name == fixed)
            for name in self._admin.list_display
        ]

    def _get_label(self, name: str) -> str:
        label: Any = label_for_field(name, self._list.model, self._admin)
        return str(capfirst(str(label) or name.replace("_", " ")))

    @property
    def column_fields(self) -> list[tuple[str, str]]:
        """The other parameters, for the form that chooses the columns; it keeps the order by name."""
        fields = list_hidden_fields(self._list, COLUMNS_PARAM, ORDER_VAR, PAGE_VAR, SORT_PARAM)
        return [*fields, *([(SORT_PARAM, sort)] if (sort := self.sort) else [])]

    @property
    def usual_columns_url(self) -> str:
        return str(self._list.get_query_string({COLUMNS_PARAM: None, ORDER_VAR: None, SORT_PARAM: self.sort}))

    @property
    def sort(self) -> str:
        """The order by names of columns, ``-card_id``; "" if it is the usual one."""
        return name_order(self._list.params.get(ORDER_VAR, ""), self._list.list_display)

    @property
    def view_query(self) -> str:
        """The query of the list without its page, its order by name: what a view keeps."""
        accepted = self._list.accepted_parameters
        query = QueryDict(mutable=True)
        for name, values in sorted(self._list.filter_params.items()):
            if name in accepted:
                query.setlist(name, values)
        if sort := self.sort:
            query[SORT_PARAM] = sort
        return query.urlencode()

    @cached_property
    def tabs(self) -> list[Any]:
        return self._admin.list_tabs(self._request, self._list) if self._admin.has_views else []

    @property
    def current_tab(self) -> Any:
        return next((tab for tab in self.tabs if tab.is_current), None)

    @property
    def may_share(self) -> bool:
        return self._request.user.has_perm(SHARE_VIEW)

    @property
    def view_urls(self) -> dict[str, str]:
        """Where a new view is posted to, and changes of the current one."""
        name, tab = self._admin.get_url_name, self.current_tab
        urls = {"save": reverse(name("saveview"))} if self._admin.has_views else {}
        if tab is not None:
            urls |= {verb: reverse(name(f"{verb}view"), args=[tab.view.pk]) for verb in ("change", "delete")}
        return urls

    @property
    def tiles(self) -> Iterator[Tile]:
        preserved = {"opts": self._list.opts, "preserved_filters": self._list.preserved_filters}
        for row in self._list.result_list:
            url = add_preserved_filters(preserved, self._list.url_for_result(row))
            yield Tile(row.pk, str(row), url, self._admin.format_tile(row))


def choose_columns(request: HttpRequest, declared: list[Any], usual: list[Any], fixed: Any) -> list[Any]:
    """Return the columns that the URL asks for, in the declared order; the usual ones if it asks for none."""
    chosen = {
        name for value in request.GET.getlist(COLUMNS_PARAM) for name in value.split(",") if name in declared
    }
    return [name for name in declared if name in chosen or name == fixed] if chosen else usual


def name_order(order: str, columns: list[Any]) -> str:
    """Translate Django's ``-2.1`` to ``-title,card_id``. What names no column is left out."""
    names = []
    for part in filter(None, order.split(".")):
        number = part.removeprefix("-")
        if number.isdecimal() and int(number) < len(columns):
            names.append(f"{'-' if part != number else ''}{columns[int(number)]}")
    return ",".join(names)


def number_order(sort: str, columns: list[Any]) -> str:
    """Translate ``-title,card_id`` back to ``-2.1``. Columns that are not shown are left out."""
    numbers: Mapping[str, int] = {str(name): number for number, name in enumerate(columns)}
    parts = []
    for part in sort.split(","):
        name = part.removeprefix("-")
        if name in numbers:
            parts.append(f"{'-' if part != name else ''}{numbers[name]}")
    return ".".join(parts)
