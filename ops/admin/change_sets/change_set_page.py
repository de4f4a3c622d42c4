"""What the page of a change set shows: its cells, old and new, page by page, and how each stands now."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from ops.admin.live.live_page import format_status_badge
from ops.admin.live.run_words import link_run, name_run
from ops.admin.values.audited_objects import AuditedModel, AuditedObject
from ops.admin.values.json_display import parse_json_exactly
from ops.admin.values.value_diff import ABSENT, Badge, format_change, format_value
from ops.change_sets.preview import list_runs, read_change_set
from ops.exceptions import OpsError
from ops.models import ChangeSet, Run
from ops.runs import claims
from ops.runs.cell_states import CellReader, CellView, RowView
from ops.runs.status import compute_status
from ops.sql.cells import CellState
from ops.sql.compile import is_json

_PAGE_SIZE = 100
SHOW_PARAM, AFTER_PARAM = "show", "after"
# What a page may show: all cells, or those of a state; by the parameter of the URL.
_TABS: dict[str, tuple[str, CellState | None]] = {
    "": ("All", None),
    "conflicts": ("Conflicts", CellState.CONFLICT),
    "changes": ("To change", CellState.WRITABLE),
    "done": ("Already so", CellState.DONE),
}


@dataclass(frozen=True)
class ShownCell:
    """``change`` is the old and the new value; ``now`` what stands in place of the old one in a conflict."""

    label: str
    change: SafeString
    now: SafeString | None
    is_done: bool


def build_page(request: HttpRequest, change_set: ChangeSet) -> dict[str, Any]:
    """Return the context of the template; "broken" alone where the model or a column is gone."""
    runs = [
        (link_run(run.pk, "Run"), format_status_badge(compute_status(run))) for run in list_runs(change_set)
    ]
    context = {"change_set": change_set, "runs": runs, "number": change_set.pk}
    try:
        reader = read_change_set(change_set)
    except OpsError as exc:
        return {**context, "broken": exc.reason}
    show = request.GET.get(SHOW_PARAM, "")
    _, state = _TABS.get(show, _TABS[""])
    counts = reader.count()
    page = reader.page(_PAGE_SIZE, request.GET.get(AFTER_PARAM, "").replace("\0", ""), state=state)
    return {
        **context,
        "counts": counts,
        "shown": {name: f"{number:,}" for name, number in asdict(counts).items()},
        "labels": [_label(column) for column in reader.columns],
        "rows": _build_rows(request, change_set, reader, page.rows),
        "tabs": _build_tabs(counts, show),
        "is_filtered": state is not None,
        "first_url": f"?{urlencode({SHOW_PARAM: show})}" if AFTER_PARAM in request.GET else "",
        "next_url": page.cursor and f"?{urlencode({SHOW_PARAM: show, AFTER_PARAM: page.cursor})}",
    }


def find_holder(change_set: ChangeSet) -> tuple[SafeString, str, str] | None:
    """Return a link to the run that writes one of the columns now, its name, and who started it."""
    claim = claims.find_claim(change_set.model, [*change_set.columns, *change_set.followers])
    if claim is None:
        return None
    run: Run = claim.run
    return link_run(run.pk, "Run"), name_run(run), run.performed_by


def _build_tabs(counts: Any, show: str) -> list[tuple[str, str, str, bool]]:
    """Return (label, number of cells, URL, whether it is shown) of each tab that has a cell."""
    total = counts.writable + counts.conflicts + counts.done
    numbers = (total, counts.conflicts, counts.writable, counts.done)
    return [
        (label, f"{number:,}", f"?{urlencode({SHOW_PARAM: name})}" if name else "?", name == show)
        for (name, (label, _)), number in zip(_TABS.items(), numbers, strict=True)
        if number or name == show
    ]


def _label(column: Any) -> str:
    return str(capfirst(column.verbose_name))


def _build_rows(
    request: HttpRequest, change_set: ChangeSet, reader: CellReader, rows: list[RowView]
) -> list[tuple[AuditedObject, list[ShownCell | None], bool]]:
    model = AuditedModel(request, change_set.model)
    objects = model.describe_objects(row.object_id for row in rows)
    shown = []
    for row in rows:
        cells = {cell.field: _build_cell(cell, row, model) for cell in row.cells}
        shown.append(
            (objects[row.object_id], [cells.get(column) for column in reader.columns], row.is_deleted)
        )
    return shown


def _build_cell(cell: CellView, row: RowView, model: AuditedModel) -> ShownCell:
    badge: Badge | None = model.badges.get(str(cell.field.column))
    seen, wanted = _parse(cell, cell.seen), _parse(cell, cell.wanted)
    now = None
    if cell.state is CellState.CONFLICT:
        now = mark_safe("") if row.is_deleted else format_value(_parse(cell, cell.now), badge)
    return ShownCell(
        _label(cell.field), format_change(seen, wanted, badge), now, cell.state is CellState.DONE
    )


def _parse(cell: CellView, text: str | None) -> Any:
    if text is None:
        return ABSENT if is_json(cell.field) else None
    return parse_json_exactly(text)
