"""The base class of column changes: which column replaces which, and how values are converted.

From the declaration come the migrations, the dual-write triggers, the backfill, the checks and the gates. The
steps are those of the expand and contract pattern (https://martinfowler.com/bliki/ParallelChange.html); that
a declaration holds both directions follows pgroll (https://pgroll.com).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from django.db.models import Case, Expression, F, Field, Model, Value, When
from django.db.models.expressions import Combinable

from ops.sql.dual_write import comparable_value

Unmappable = Literal["refuse", "keep"]


class ColumnChange:
    """A change from one column of a model to another, while both are in use.

    ``old`` and ``new`` are names of fields. Both stand in the model until the old one is retired; the new one
    as it shall be in the end, with its constraints and indexes.
    """

    name: ClassVar[str]
    model: ClassVar[type[Model]]
    old: ClassVar[str]
    new: ClassVar[str]
    # Old value to new value, where the new column has other values. It is inverted for the way back.
    mapping: ClassVar[Mapping[Any, Any]] = {}
    # A new value that has no old value is refused, or the old column keeps the value that it has ("keep").
    unmappable: ClassVar[Unmappable] = "refuse"
    # The new column takes the name of the old one when that is retired.
    swap: ClassVar[bool] = False
    # How long nobody may have written through the old column before it is retired, and how long it is kept.
    retire_after: ClassVar[timedelta] = timedelta(hours=48)
    drop_after: ClassVar[timedelta] = timedelta(days=7)
    # Why one of the two is zero; it is recorded.
    no_wait_reason: ClassVar[str] = ""
    # The name of the operation that fills the new column, and what its previews group by.
    operation: ClassVar[str] = ""
    group_by: ClassVar[str | None] = None
    display_field: ClassVar[str] = "pk"

    @classmethod
    def summary(cls) -> str:
        return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")

    @classmethod
    def operation_name(cls) -> str:
        """Return the name of the operation that fills the new column."""
        return cls.operation or f"backfill_{cls.name}"

    def get_new_value(self) -> Combinable | Expression:
        """Return the new value, an ORM expression over the row; NULL where an old value has none."""
        if not self.mapping:
            return F(self.old)
        return _map_values(self.old, self.mapping)

    def get_old_value(self) -> Combinable | Expression | None:
        """Return the old value of a new one; NULL where there is none. None: there is no way back at all."""
        if not self.mapping:
            return F(self.new)
        # Of several old values for one new value, the first is written.
        return _map_values(self.new, {new: old for old, new in reversed([*self.mapping.items()])})

    def old_field(self) -> Field[Any, Any]:
        """Return the old column's field. Raises FieldDoesNotExist once it has left the model."""
        return self.model._meta.get_field(self.old)  # type: ignore[return-value]

    def new_field(self) -> Field[Any, Any]:
        return self.model._meta.get_field(self.new)  # type: ignore[return-value]

    def has_old_field(self) -> bool:
        """Whether the old field still stands in the model."""
        return any(field.name == self.old for field in self.model._meta.get_fields())

    def old_column(self) -> str:
        """Return the old column's name; once its field has left the model, the name that Django gives it."""
        if self.has_old_field():
            return str(self.old_field().column)
        return f"{self.old}_id" if self.new_field().is_relation else self.old

    def new_value(self) -> Expression:
        """Return ``get_new_value()`` as the new column stores it."""
        return comparable_value(self.get_new_value(), self.new_field())

    def old_value(self) -> Expression | None:
        """Return ``get_old_value()`` as the old column stores it."""
        value = self.get_old_value()
        return None if value is None else comparable_value(value, self.old_field())


def _map_values(column: str, mapping: Mapping[Any, Any]) -> Case:
    return Case(*(When(**{column: key}, then=Value(value)) for key, value in mapping.items()), default=None)
