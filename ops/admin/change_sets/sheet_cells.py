"""The cells that a sheet posts: read, and staged as a change set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import BadRequest, ValidationError
from django.db import transaction
from django.db.models import Model

from ops.admin.change_sets.sheet_columns import SheetColumn, parse_new, parse_seen
from ops.change_sets.cells import Cell, CellError
from ops.change_sets.staging import CellsRefused, NothingToChange, stage_cells
from ops.formatting import format_row_count, pluralize
from ops.models import ChangeSet


def stage_sheet(model: type[Model], columns: Mapping[str, SheetColumn], given: Any, by: Any) -> ChangeSet:
    """Stage [key, column, text seen, new text] of each cell.

    Raises BadRequest if they are no such lists; otherwise as ``stage_cells``, with the errors of all cells.
    """
    cells, errors = [], []
    for key, name, seen, new in _require_cells(given):
        try:
            cells.append(_parse_cell(model, columns.get(name), Cell(key, name, seen, new)))
        except ValidationError as exc:
            errors.append(CellError(key, name, " ".join(exc.messages)))
    rows = format_row_count(model, len({cell[0] for cell in given}))
    with transaction.atomic():
        try:
            change_set = stage_cells(
                model, cells, by, title=f"{pluralize(len(given), 'cell')} in {rows}", source="sheet"
            )
        except CellsRefused as exc:
            errors += exc.errors
        except NothingToChange:
            if not errors:
                raise
        if errors:
            raise CellsRefused(errors)
    return change_set


def _require_cells(given: Any) -> list[list[Any]]:
    if not isinstance(given, list) or not all(map(_is_cell, given)):
        raise BadRequest("cells are lists: [key, column, seen, new]")
    return given


def _is_cell(cell: Any) -> bool:
    if not isinstance(cell, list) or len(cell) != 4:
        return False
    key, name, *texts = cell
    return (
        isinstance(key, str)
        and isinstance(name, str)
        and all(text is None or isinstance(text, str) for text in texts)
    )


def _parse_cell(model: type[Model], column: SheetColumn | None, cell: Cell) -> Cell:
    if column is None:
        raise ValidationError(f"{cell.column} cannot be edited in a sheet.")
    field: Any = model._meta.get_field(column.name)
    seen = parse_seen(column, cell.seen)
    return Cell(cell.key, cell.column, seen, parse_new(field, column, cell.new, cell.seen))
