"""The cells that a run by cell left as they were: of a change set, or of the revert of one."""

from __future__ import annotations

import json
from typing import Any

from ops.exceptions import OpsError
from ops.models import Run
from ops.operations import ApplyChangeSet, Revert
from ops.runs.cell_states import CellReader, CellView, RowView
from ops.runs.conflicts import Conflict, ConflictList, ConflictPage, ConflictsUnavailable, ExpectedConflicts
from ops.runs.rebuild import rebuild_operation
from ops.runs.row_lists import RowList
from ops.runs.status import describe_next_step
from ops.sql.cells import CellState
from ops.states import COMPLETED


class CellConflictList(RowList[Conflict]):
    """The conflicts of a finished run by cell; each names the cells that were left, and no others."""

    def __init__(self, run: Run, operation: ApplyChangeSet | Revert) -> None:
        if run.state not in COMPLETED:
            reason = (
                f"Run {run.pk} is {run.get_state_display()}: its conflicts are known when it has finished."
            )
            raise ConflictsUnavailable(reason, describe_next_step(run))
        self.reader = CellReader(operation, run)

    def count(self, after: str | None = None) -> int:
        """Count the rows that have conflicts."""
        return self.reader.count_rows(after or "")

    def page(self, limit: int, after: str | None = None) -> list[Conflict]:
        return list_conflicts(self.reader, self.reader.page(limit, after or "").rows)


class ExpectedCellConflicts:
    """The cells that a revert of the run would leave alone now."""

    def __init__(self, revert: Revert) -> None:
        self.reader = CellReader(revert)

    def page(self, limit: int, after: str = "") -> ConflictPage:
        page = self.reader.page(limit, after, state=CellState.CONFLICT)
        return ConflictPage(list_conflicts(self.reader, page.rows), page.cursor)


def build_conflict_list(run: Run) -> RowList[Conflict]:
    """Return the conflicts of a finished revert or change set. Raises OpsError for any other run."""
    if operation := find_operation_by_cell(run):
        return CellConflictList(run, operation)
    return ConflictList(run)


def build_expected_conflicts(run: Run) -> ExpectedConflicts | ExpectedCellConflicts:
    """Return what a revert of the run would leave alone. Raises InvalidParams if it has no revert."""
    expected = ExpectedConflicts(run)
    return ExpectedCellConflicts(expected.revert) if expected.revert.is_by_cell else expected


def find_operation_by_cell(run: Run) -> ApplyChangeSet | Revert | None:
    """Return the operation of a run whose cells are judged one by one; None for any other run."""
    if run.operation not in (ApplyChangeSet.name, Revert.name):
        return None
    try:
        operation = rebuild_operation(run)
    except OpsError:
        return None
    return operation if isinstance(operation, ApplyChangeSet | Revert) and operation.is_by_cell else None


def list_conflicts(reader: CellReader, rows: list[RowView]) -> list[Conflict]:
    is_revert = isinstance(reader.operation, Revert)
    return [
        Conflict(
            row.object_id,
            row.name,
            {cell.field.name: _build_values(cell, is_revert=is_revert) for cell in row.cells},
            row.is_deleted,
        )
        for row in rows
    ]


def _build_values(cell: CellView, *, is_revert: bool) -> dict[str, Any]:
    """Return the values in the order in which they are shown: the last one is the present one."""
    seen, wanted, now = map(_parse, (cell.seen, cell.wanted, cell.now))
    if is_revert:
        return {"before": wanted, "wrote": seen, "stands": now}
    return {"seen": seen, "wanted": wanted, "stands": now}


def _parse(text: str | None) -> Any:
    return None if text is None else json.loads(text)
