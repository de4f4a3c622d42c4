"""The cells that an operation by cell writes: how each one stands, counted and page by page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import (
    BooleanField,
    ExpressionWrapper,
    F,
    Field,
    Q,
    QuerySet,
    TextField,
)
from django.db.models.functions import Cast
from django.db.models.lookups import In

from ops.db import canonical_output
from ops.models import AuditLog, Run
from ops.operations import ApplyChangeSet, Revert
from ops.operations.scope import Scope
from ops.sql.audit_search import in_index_order
from ops.sql.audited import audited_json
from ops.sql.cell_counts import CellCounts, count_cells
from ops.sql.cells import CellState

# Rows that are looked at together.
_CHUNK_SIZE = 2_000


@dataclass(frozen=True)
class CellView:
    """A cell's field, the values that were seen, that stand now and that are wanted, and its state.

    The values are JSON as text, with every digit. SQL NULL is None; in a column that is not JSON also
    ``null``. So is ``now`` of a deleted row.
    """

    field: Field[Any, Any]
    seen: str | None
    now: str | None
    wanted: str | None
    state: CellState


@dataclass(frozen=True)
class RowView:
    """A row with its key and display name, and its cells in the order of the columns."""

    object_id: str
    name: str
    cells: list[CellView]
    is_deleted: bool


@dataclass(frozen=True)
class CellPage:
    """``cursor`` is the key after which the next page begins; "" after the last row."""

    rows: list[RowView]
    cursor: str


# Of each row the states of its cells, by key; None where it has no cell of the column.
_States = dict[str, list[CellState | None]]


class CellReader:
    """Reads the cells of the operation as they stand now.

    With the ``run`` that has executed it: those that it wrote are left out, those of rows that failed too,
    and all others that are not as they are wanted are conflicts.
    """

    def __init__(self, operation: ApplyChangeSet | Revert, run: Run | None = None) -> None:
        self.operation, self.run, self.cells = operation, run, operation.cells
        self.columns = self.cells.judged

    def count(self) -> CellCounts:
        """Count the cells as they are before a run, in a few statements."""
        return count_cells(self.cells, self.operation.model)

    def read(self, keys: Iterable[str]) -> list[RowView]:
        """Return the rows with these keys, of which there are cells."""
        given = _read_flags(self._entries().filter(object_id__in=list(keys)), self.columns)
        return self._read_rows(self._add_states(given))

    def count_rows(self, after: str = "") -> int:
        """Count the rows after a key that have cells, or of a run, conflicts."""
        count, keys = 0, [after]
        while keys:
            keys, states = self._read_chunk(keys[-1], _CHUNK_SIZE)
            count += len(states)
        return count

    def page(self, limit: int, after: str = "", *, state: CellState | None = None) -> CellPage:
        """Return the first rows after a key; with ``state``, those that have such a cell, and these cells."""
        found: _States = {}
        size = _CHUNK_SIZE if state or self.run else limit + 1
        while len(found) <= limit:
            keys, states = self._read_chunk(after, size)
            found |= _select_states(states, state)
            if len(keys) < size:
                break
            after = keys[-1]
        shown = dict(list(found.items())[:limit])
        rows = self._read_rows(shown)
        return CellPage(rows, rows[-1].object_id if rows and len(found) > limit else "")

    def _entries(self) -> QuerySet[Any]:
        entries = self.cells.key_list.entries()
        if self.run is not None and self.run.scope.get("keys"):
            entries = entries.filter(object_id__in=self.run.keys.values("object_id"))
        if self.run is not None and self.run.scope.get("filter"):
            in_scope = Scope.of_run(self.run).apply(self.operation.model._base_manager.all())
            entries = entries.filter(object_id__in=in_scope.values(key=Cast("pk", TextField())))
        return entries

    def _read_chunk(self, after: str, size: int) -> tuple[list[str], _States]:
        """Return the next keys, and by key the states of the columns; None where there is no such cell."""
        entries = self._entries().order_by("object_id")
        if after:
            entries = entries.filter(object_id__gt=after)
        with in_index_order():
            given = _read_flags(entries, self.columns, size)
        states = self._add_states(given)
        return list(given), self._leave_out_written(states, self.run) if self.run else states

    def _add_states(self, given: Mapping[str, list[bool]]) -> _States:
        stored = self.read_states(list(given))
        states = {}
        for key, flags in given.items():
            missing = [CellState.CONFLICT if flag else None for flag in flags]
            states[key] = stored.get(key, missing)
        return states

    def read_states(self, keys: list[str]) -> _States:
        """Return the states of the columns of stored rows, by key."""
        states = {f"state_{number}": self.cells.state(column) for number, column in enumerate(self.columns)}
        with canonical_output():
            found = self._rows(keys).annotate(**states).values_list("pk", *states)
            return {str(pk): [each and CellState(each) for each in row] for pk, *row in found}

    def _rows(self, keys: Iterable[str]) -> QuerySet[Any]:
        """The rows of the keys. Both sides of the join are narrowed: the planner does not conclude it."""
        keys = list(keys)
        return self.cells.join(self.operation.model).filter(In(self.cells.key_list.key, keys), pk__in=keys)

    def _leave_out_written(self, states: _States, run: Run) -> _States:
        """Return the conflicts of the run among the cells."""
        audited = AuditLog.objects.filter(run=run, object_id__in=list(states))
        written = _read_flags(audited, self.columns)
        failed = set(run.failures.filter(object_id__in=list(states)).values_list("object_id", flat=True))
        left: _States = {}
        for key, row in states.items():
            flags = written.get(key, [key in failed] * len(row))
            left[key] = [
                None if is_written or state in (None, CellState.DONE) else CellState.CONFLICT
                for state, is_written in zip(row, flags, strict=True)
            ]
        return {key: row for key, row in left.items() if any(row)}

    def _read_rows(self, states: _States) -> list[RowView]:
        keys = list(states)
        names = self.operation.get_display_names(keys)
        sides = [
            Cast(audited_json(F("changes"), c, side), TextField())
            for c in self.columns
            for side in self._sides
        ]
        images = {f"side_{number}": image for number, image in enumerate(sides)}
        entries = self.cells.key_list.entries().filter(object_id__in=keys).annotate(**images)
        changes = {key: row for key, *row in entries.values_list("object_id", *images)}
        now = self._read_images(keys)
        return [self._build_row(key, names[key], states[key], changes[key], now.get(key)) for key in keys]

    @property
    def _sides(self) -> tuple[str, str]:
        return self.cells.seen, self.cells.wanted

    def _read_images(self, keys: list[str]) -> dict[str, list[str | None]]:
        images = {f"now_{number}": self.cells.image(column) for number, column in enumerate(self.columns)}
        with canonical_output():
            return {
                str(pk): row for pk, *row in self._rows(keys).annotate(**images).values_list("pk", *images)
            }

    def _build_row(
        self,
        key: str,
        name: str,
        states: list[CellState | None],
        changes: list[str | None],
        now: list[str | None] | None,
    ) -> RowView:
        stands = now or [None] * len(states)
        cells = [
            CellView(column, changes[2 * number], stands[number], changes[2 * number + 1], state)
            for number, (column, state) in enumerate(zip(self.columns, states, strict=True))
            if state is not None
        ]
        return RowView(key, name, cells, is_deleted=now is None)


def _read_flags(
    entries: QuerySet[Any], columns: list[Field[Any, Any]], limit: int | None = None
) -> dict[str, list[bool]]:
    """Return by key whether the entry has a cell of each column."""
    conditions = (Q(changes__has_key=str(column.column)) for column in columns)
    flags = {
        f"given_{number}": ExpressionWrapper(condition, BooleanField())
        for number, condition in enumerate(conditions)
    }
    rows = entries.annotate(**flags).values_list("object_id", *flags)
    return {key: given for key, *given in rows[:limit]}


def _select_states(states: _States, state: CellState | None) -> _States:
    """Return the rows that have such a cell, without their other cells."""
    if state is None:
        return states
    kept = {key: [each if each is state else None for each in row] for key, row in states.items()}
    return {key: row for key, row in kept.items() if any(row)}
