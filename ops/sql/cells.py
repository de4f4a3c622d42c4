"""Judge the cells of listed rows one by one: which may be written, and what is written.

The entries of the list have ``changes`` as an audit row has them: staged cells, or the cells that a run
changed. A cell is written from one side of its entry to the other, where the row still has the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Case, Expression, F, Field, Model, Q, QuerySet, TextField, Value, When
from django.db.models.fields.json import HasKey
from django.db.models.functions import Cast

from ops.sql.audited import (
    IsNotDistinctFrom,
    ToJsonb,
    audited_changes,
    audited_json,
    column_value,
    is_alike,
)
from ops.sql.compile import cast_to_column_type, is_json
from ops.sql.keylist import KeyList, KeyListColumn


class CellState(StrEnum):
    """What a cell is: to be written, as it is wanted already, or something else than was seen."""

    WRITABLE = "writable"
    DONE = "done"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Cells:
    """``seen`` and ``wanted`` are sides of a change, "old" and "new".

    ``kinds`` are the types of the columns whose type has not changed since the entries were written.
    ``followers`` maps a column that is written with another one to that one; no cell of it is judged.
    """

    key_list: KeyList
    columns: list[Field[Any, Any]]
    kinds: Mapping[str, str]
    seen: str = "old"
    wanted: str = "new"
    followers: Mapping[Field[Any, Any], Field[Any, Any]] = field(default_factory=dict)
    overwrite: bool = False

    @property
    def changes(self) -> KeyListColumn:
        return audited_changes(self.key_list)

    @property
    def judged(self) -> list[Field[Any, Any]]:
        return [column for column in self.columns if column not in self.followers]

    def join(self, model: type[Model]) -> QuerySet[Any]:
        """The rows of the list, joined with their entries."""
        return self.key_list.join(model._base_manager.all())

    def is_any_writable(self) -> Q:
        return reduce(or_, map(self.is_writable, self.judged))

    def is_writable(self, column: Field[Any, Any]) -> Q:
        """Whether the row has the cell as it was seen, and not yet as it is wanted."""
        left = self.is_left(column)
        return left if self.overwrite else left & self.is_as_seen(column)

    def is_given(self, column: Field[Any, Any]) -> Q:
        """Whether the entry has a cell of the column."""
        return Q(HasKey(self.changes, str(column.column)))

    def is_as_seen(self, column: Field[Any, Any]) -> Q:
        return self._is_alike(column, self.seen)

    def is_done(self, column: Field[Any, Any]) -> Q:
        return self._is_alike(column, self.wanted)

    def is_left(self, column: Field[Any, Any]) -> Q:
        """Whether the entry has a cell that is not as it is wanted."""
        return self.is_given(column) & ~self.is_done(column)

    def state(self, column: Field[Any, Any]) -> Expression:
        """The cell's CellState as text; NULL where the entry has no cell of the column."""
        return Case(
            When(~self.is_given(column), then=None),
            When(self.is_done(column), then=Value(CellState.DONE)),
            When(self.is_writable(column), then=Value(CellState.WRITABLE)),
            default=Value(CellState.CONFLICT),
            output_field=TextField(),
        )

    def image(self, column: Field[Any, Any]) -> Expression:
        """The stored value as JSON text; NULL is SQL NULL."""
        return Cast(ToJsonb(F(column.attname)), TextField())

    # Note [Equal JSON that is not alike]
    # To jsonb, 1.10 and 1.1 are equal, and both are kept as they were written. A person who edits the one
    # into the other wants that; so of a JSON column the texts are compared.
    def _is_alike(self, column: Field[Any, Any], side: str) -> Q:
        kind = self.kinds.get(str(column.column))
        if not is_json(column):
            return is_alike(self.changes, column, kind, side)
        return Q(
            IsNotDistinctFrom(self.image(column), Cast(audited_json(self.changes, column, side), TextField()))
        )

    def new_value(self, column: Field[Any, Any]) -> Expression:
        """The column's value after the change: the present one where no cell of it is writable."""
        if leading := self.followers.get(column):
            own, writable = self.is_given(column), self.is_writable(leading)
            copied = cast_to_column_type(self._wanted_value(leading), column)
            branches = [
                When(writable & own, then=self._wanted_value(column)),
                When(writable, then=copied),
            ]
        else:
            branches = [When(self.is_writable(column), then=self._wanted_value(column))]
        return Case(*branches, default=F(column.attname), output_field=column)

    def _wanted_value(self, column: Field[Any, Any]) -> Expression:
        return column_value(self.changes, column, self.kinds.get(str(column.column)), self.wanted)
