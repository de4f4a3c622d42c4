"""Count cells by their state, in a few statements for any number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Field, JSONField, Model, Q, QuerySet, Subquery, Value
from django.db.models.fields.json import HasKey
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact, IsNull

from ops.db import canonical_output
from ops.models import AuditLog, Failure, Run
from ops.sql.cells import Cells, CellState
from ops.sql.keylist import KeyList


@dataclass(frozen=True)
class CellCounts:
    """Cells by state; a cell of a deleted row is a conflict. ``rows`` have a cell to write."""

    writable: int
    conflicts: int
    done: int
    rows: int


def count_cells(cells: Cells, model: type[Model]) -> CellCounts:
    """Count the cells as they are before a run."""
    counts = {
        f"{state}_{number}": Count("pk", filter=Exact(cells.state(column), state.value))
        for number, column in enumerate(cells.judged)
        for state in CellState
    }
    rows = Count("pk", filter=cells.is_any_writable())
    with canonical_output():
        found = cells.join(model).aggregate(rows=rows, **counts)
        missing = count_given(cells.key_list.missing(model), cells.judged)

    def total(state: CellState) -> int:
        return sum(count for name, count in found.items() if name.startswith(f"{state}_"))

    return CellCounts(
        writable=total(CellState.WRITABLE),
        conflicts=total(CellState.CONFLICT) + missing,
        done=total(CellState.DONE),
        rows=found["rows"],
    )


def is_all_written(cells: Cells, run: Run) -> bool:
    """Whether the run has written as many cells as there are: then it left none.

    Rows that it created have no cells of the list.
    """
    pk = str(cells.judged[0].model._meta.pk.column)
    written = count_given(KeyList(AuditLog, run.pk, without=pk).entries(), cells.judged)
    return written >= count_given(cells.key_list.entries(), cells.judged)


def count_left(cells: Cells, model: type[Model], run: Run) -> int:
    """Count the cells that the run has neither written nor found done, without those of failed rows.

    For the subqueries see Note [Scalar subqueries over audit rows].
    """
    if is_all_written(cells, run):
        return 0
    key = Exact(F("object_id"), cells.key_list.key)
    audited = AuditLog.objects.filter(key, run=run).values("changes")
    failed = Failure.objects.filter(key, run=run).values("run")
    rows = cells.join(model).filter(IsNull(Subquery(failed[:1]), True))
    written = Coalesce(Subquery(audited[:1]), Value({}, JSONField()), output_field=JSONField())
    counts = {
        f"left_{number}": Count("pk", filter=cells.is_left(column) & ~Q(HasKey(written, str(column.column))))
        for number, column in enumerate(cells.judged)
    }
    with canonical_output():
        found = rows.aggregate(**counts)
        missing = count_given(cells.key_list.missing(model), cells.judged)
    return int(sum(found.values())) + missing


def count_given(entries: QuerySet[Any], columns: list[Field[Any, Any]]) -> int:
    """Count the cells of the columns in staged changes or audit rows."""
    counts = {
        f"count_{number}": Count("pk", filter=Q(changes__has_key=str(column.column)))
        for number, column in enumerate(columns)
    }
    return int(sum(entries.order_by().aggregate(**counts).values()))
