"""The rows of an upload's page as HTML: the old and the new value of each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ops.admin.audit.audit_entries import parse_changes
from ops.admin.audit.audit_search import get_history_media
from ops.admin.values.audited_objects import AuditedModel
from ops.admin.values.json_display import parse_json_exactly
from ops.admin.values.value_diff import ABSENT, format_change, format_value
from ops.operations.validation import model_label
from ops.runs.cell_states import CellView
from ops.sql.cells import CellState
from ops.sql.compile import is_json
from ops.uploads.diff import DiffRow


@dataclass(frozen=True)
class ShownRow:
    """``cells`` are the labels and the changes of the table's columns, "" where the row has no such cell."""

    name: str
    url: str
    status: str
    status_class: str
    cells: list[tuple[str, SafeString]]


@dataclass(frozen=True)
class UploadTable:
    """The rows with the labels of their columns, and what their HTML needs."""

    labels: list[str]
    rows: list[ShownRow]
    audited: AuditedModel
    media: Any

    def get_label(self, column: str) -> str:
        return self.audited.get_label(column)


def build_rows(request: HttpRequest, model_admin: Any, rows: Sequence[DiffRow]) -> UploadTable:
    """Format the rows, with a column for each field that one of them has."""
    audited = AuditedModel(request, model_label(model_admin.model))
    found = [_format_cells(audited, row) for row in rows]
    columns = audited.sort_columns({column for cells in found for column in cells})
    labels = {column: audited.get_label(column) for column in columns}
    shown = [
        _build_row(model_admin, row, [(labels[each], cells.get(each, SafeString(""))) for each in columns])
        for row, cells in zip(rows, found, strict=True)
    ]
    return UploadTable(list(labels.values()), shown, audited, get_history_media(request))


def _build_row(model_admin: Any, row: DiffRow, cells: list[tuple[str, SafeString]]) -> ShownRow:
    is_deleted = bool(row.view and row.view.is_deleted)
    url = (
        ""
        if row.is_new or is_deleted
        else reverse(model_admin.get_url_name("change"), args=[quote(row.object_id)])
    )
    if row.is_taken:
        status = "Taken since"
    elif is_deleted:
        status = "Deleted since"
    elif row.has_conflict:
        status = "Changed since"
    else:
        status = "New" if row.is_new else "Changed"
    return ShownRow(row.name, url, status, {"New": "good", "Changed": "busy"}.get(status, "warn"), cells)


def _format_cells(audited: AuditedModel, row: DiffRow) -> dict[str, SafeString]:
    """Return the HTML of the row's cells by column."""
    if row.view is not None:
        is_deleted = row.view.is_deleted
        return {str(cell.field.column): _format_cell(audited, cell, is_deleted) for cell in row.view.cells}
    given = parse_changes(row.changes)
    changes = {name: each.get("new") for name, each in given.items() if not audited.names_key({name})}
    return {
        name: format_value(value, audited.badges.get(name))
        for name, value in changes.items()
        if value != row.name
    }


def _format_cell(audited: AuditedModel, cell: CellView, is_deleted: bool) -> SafeString:
    badge = audited.badges.get(str(cell.field.column))
    seen, now, wanted = (_parse(cell, text) for text in (cell.seen, cell.now, cell.wanted))
    change = format_change(seen, wanted, badge)
    if cell.state is not CellState.CONFLICT or is_deleted:
        return change
    return format_html(
        '{}<div class="ops-note ops-warn">Changed by others since, so it stays as it is: {}</div>',
        change,
        format_value(now, badge),
    )


def _parse(cell: CellView, text: str | None) -> Any:
    if text is None:
        return ABSENT if is_json(cell.field) else None
    return parse_json_exactly(text)
