"""The staged rows of an upload, page by page: what it would create and change, and what others did since."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Exists, Model, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from ops.change_sets.preview import read_change_set
from ops.models import StagedChange, Upload
from ops.runs.cell_states import CellReader, RowView
from ops.sql.cells import CellState
from ops.sql.compile import CastToColumnType

# How many staged rows a page looks at: so that each takes as long as the others, however many rows there are,
# and whatever the planner knows of them. No index serves the filters.
_SCANNED_ROWS = {"all": 1_000, "column": 10_000, "text": 2_500, "conflicts": 200}
NEW, CHANGED, CONFLICTS = "new", "changed", "conflicts"
# Finds the rows of a model that a person looks for.
Search = Callable[[QuerySet[Any]], QuerySet[Any]]


@dataclass(frozen=True)
class DiffFilter:
    """Which rows: of a ``kind`` (NEW, CHANGED or CONFLICTS), with a changed cell of the ``column``, with the
    ``text`` in a cell or where ``search`` finds it; "" is any."""

    kind: str = ""
    column: str = ""
    text: str = ""
    search: Search | None = None

    @property
    def scanned_rows(self) -> int:
        """How many rows a page looks at, at most."""
        names = [
            ("conflicts", self.kind == CONFLICTS),
            ("text", self.text),
            ("column", self.column or self.kind),
        ]
        return next((_SCANNED_ROWS[name] for name, is_set in names if is_set), _SCANNED_ROWS["all"])


@dataclass(frozen=True)
class DiffRow:
    """A staged row: a stored one with the ``view`` of its cells, or a new one with its ``changes`` as JSON.

    ``is_taken``: the row cannot be created any more, since another has its unique value.
    """

    position: int
    name: str
    object_id: str
    is_new: bool
    changes: str
    view: RowView | None = None
    is_taken: bool = False

    @property
    def has_conflict(self) -> bool:
        states = [cell.state for cell in self.view.cells] if self.view else []
        return self.is_taken or CellState.CONFLICT in states


@dataclass(frozen=True)
class DiffPage:
    """``next`` is the position after which the next page begins; 0 after the last. ``scanned``: how many
    rows were looked at."""

    rows: list[DiffRow]
    next: int
    scanned: int


class DiffReader:
    """Reads the staged rows of an upload. Raises InvalidParams if its model or a column is gone."""

    def __init__(self, upload: Upload) -> None:
        if upload.change_set is None:
            raise ValueError(f"{upload} has no rows")
        self.upload, self.change_set = upload, upload.change_set
        self.model: type[Model] = apps.get_model(upload.model)
        self.reader: CellReader = read_change_set(self.change_set)
        self.name_field = self.reader.operation.display_field

    def page(self, wanted: DiffFilter, limit: int, after: int = 0) -> DiffPage:
        after = max(after, self.upload.first - 1)
        end = min(self.upload.last, after + wanted.scanned_rows)
        found = self._find(wanted, after, end, limit + 1)
        rows = self._build_rows(found[:limit])
        if len(found) > limit:
            return DiffPage(rows, found[limit - 1].pk, found[limit - 1].pk - after)
        return DiffPage(rows, end if end < self.upload.last else 0, end - after)

    def _find(self, wanted: DiffFilter, after: int, end: int, limit: int) -> list[Any]:
        rows = self._filter(wanted, after, end)
        if wanted.kind != CONFLICTS:
            return list(rows[:limit])
        found = list(rows)
        conflicts = self._find_conflicts(found)
        return [row for row in found if row.object_id in conflicts][:limit]

    def _filter(self, wanted: DiffFilter, after: int, end: int) -> QuerySet[Any]:
        staged = StagedChange.objects.filter(change_set=self.change_set, pk__gt=after, pk__lte=end)
        rows = staged.annotate(as_text=Cast("changes", TextField())).order_by("pk")
        if wanted.kind in (NEW, CHANGED):
            rows = rows.filter(is_new=wanted.kind == NEW)
        if wanted.column:
            rows = rows.filter(changes__has_key=wanted.column, is_new=False)
        if wanted.text:
            rows = rows.filter(self._matches(wanted))
        return rows

    def _matches(self, wanted: DiffFilter) -> Q:
        in_cells = Q(as_text__icontains=wanted.text)
        if wanted.search is None:
            return in_cells
        key = CastToColumnType(OuterRef("object_id"), output_field=self.model._meta.pk)
        return in_cells | Q(Exists(wanted.search(self.model._base_manager.filter(pk=key))))

    def _find_conflicts(self, rows: list[Any]) -> set[str]:
        stored = self.reader.read_states([row.object_id for row in rows if not row.is_new])
        missing = {row.object_id for row in rows if not row.is_new} - stored.keys()
        changed = {key for key, states in stored.items() if CellState.CONFLICT in states}
        return changed | missing | self._find_taken(rows)

    def _find_taken(self, rows: Iterable[StagedChange]) -> set[str]:
        """Return the keys of new rows whose unique value another row has."""
        new, taken = [row for row in rows if row.is_new], set[str]()
        for constraint in self.model._meta.total_unique_constraints:
            if len(constraint.fields) != 1:
                continue
            [name] = constraint.fields
            values = {_new_value(row, name): row.object_id for row in new}
            holders = self.model._base_manager.filter(
                **{f"{name}__in": [each for each in values if each is not None]}
            )
            taken |= {
                values[value] for value, pk in holders.values_list(name, "pk") if str(pk) != values[value]
            }
        return taken

    def _build_rows(self, rows: list[Any]) -> list[DiffRow]:
        views = {
            view.object_id: view for view in self.reader.read([r.object_id for r in rows if not r.is_new])
        }
        taken = self._find_taken(rows)
        return [self._build_row(row, views.get(row.object_id), row.object_id in taken) for row in rows]

    def _build_row(self, row: Any, view: RowView | None, is_taken: bool) -> DiffRow:
        name = _new_value(row, self.name_field) if row.is_new else view.name if view else row.object_id
        return DiffRow(row.pk, str(name), row.object_id, row.is_new, row.as_text, view, is_taken)


def _new_value(row: StagedChange, name: str) -> Any:
    return row.changes.get(name, {}).get("new")
