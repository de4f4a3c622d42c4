"""The base classes of column changes: which column replaces which, how values are converted; or which goes.

From the declaration come the migrations, the dual-write triggers, the backfill, the checks and the gates. The
steps are those of the expand and contract pattern (https://martinfowler.com/bliki/ParallelChange.html); that
a declaration holds both directions follows pgroll (https://pgroll.com).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from django.db.models import Case, Expression, F, Field, Model, Value, When
from django.db.models.expressions import Combinable

from ops.column_changes.steps import Step
from ops.formatting import summarize_docstring
from ops.sql.dual_write import comparable_value, expressible_value

Unmappable = Literal["refuse", "keep"]


class BaseColumnChange:
    """What a replacement of a column and a removal share; ``old`` is the name of the field that leaves."""

    name: ClassVar[str]
    model: ClassVar[type[Model]]
    old: ClassVar[str]
    # How long nobody may have written through the old column before it is retired, and how long it is kept.
    retire_after: ClassVar[timedelta] = timedelta(hours=48)
    drop_after: ClassVar[timedelta] = timedelta(days=7)
    # Why one of the two is zero; it is recorded.
    no_wait_reason: ClassVar[str] = ""

    @classmethod
    def summary(cls) -> str:
        return summarize_docstring(cls)

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Return the names of the fields that it works on."""
        return (cls.old,)

    @classmethod
    def list_steps(cls) -> list[Step]:
        """Return its steps, in order."""
        return list(Step)

    @classmethod
    def previous_step(cls, step: Step) -> Step | None:
        steps = cls.list_steps()
        return steps[steps.index(step) - 1] if step != steps[0] else None

    @classmethod
    def keeps_name(cls) -> bool:
        """Whether another column takes the name of the old one."""
        return False

    @classmethod
    def get_wait(cls, step: Step) -> timedelta:
        """Return how long the step has to wait; a retirement only where old code would fail after it."""
        retire_after = timedelta() if cls.keeps_name() else cls.retire_after
        return {Step.RETIRE: retire_after, Step.DROP: cls.drop_after}.get(step, timedelta())

    @classmethod
    def gone_and_kept(cls) -> tuple[str, str | None]:
        """Return the fields that the model does not have after retire, and has."""
        return cls.old, None

    @classmethod
    def is_left(cls) -> bool:
        """Whether the model is as it shall be after retire."""
        gone, kept = cls.gone_and_kept()
        return gone not in cls.field_names() and kept in {None, *cls.field_names()}

    @classmethod
    def field_names(cls) -> set[str]:
        """Return the names of the model's fields."""
        return {field.name for field in cls.model._meta.get_fields()}

    def old_field(self) -> Field[Any, Any]:
        """Return the old column's field. Raises FieldDoesNotExist once it has left the model."""
        return self.model._meta.get_field(self.old)  # type: ignore[return-value]

    def has_old_field(self) -> bool:
        """Whether the old field still stands in the model."""
        return self.old in self.field_names()

    def old_column(self) -> str:
        """Return the old column's name; once its field has left the model, the name of the field."""
        return str(self.old_field().column) if self.has_old_field() else self.old


class ColumnRemoval(BaseColumnChange):
    """The removal of a column. Its field stands in the model until it is retired."""

    @classmethod
    def list_steps(cls) -> list[Step]:
        return [Step.EXPAND, Step.RETIRE, Step.DROP]


class ColumnChange(BaseColumnChange):
    """A change from one column of a model to another, while both are in use.

    ``old`` and ``new`` are names of fields. Both stand in the model until the old one is retired; the new one
    as it shall be in the end, with its constraints and indexes.
    """

    new: ClassVar[str]
    # Old value to new value, where the new column has other values. It is inverted for the way back.
    mapping: ClassVar[Mapping[Any, Any]] = {}
    # A new value that has no old value is refused, or the old column keeps the value that it has ("keep").
    unmappable: ClassVar[Unmappable] = "refuse"
    # The new column takes the name of the old one when that is retired.
    swap: ClassVar[bool] = False
    # The name of the operation that fills the new column, and what its previews group by.
    operation: ClassVar[str] = ""
    group_by: ClassVar[str | None] = None
    display_field: ClassVar[str] = "pk"

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        return cls.old, cls.new

    @classmethod
    def list_steps(cls) -> list[Step]:
        """With ``swap`` the name stays, so that readers need not switch."""
        return [step for step in Step if not (cls.swap and step == Step.SWITCH)]

    @classmethod
    def keeps_name(cls) -> bool:
        return cls.swap

    @classmethod
    def is_key(cls) -> bool:
        """Whether the old column is the primary key, which the new one becomes at *retire*."""
        fields = cls.model._meta.local_fields
        return cls.swap and any(field.primary_key for field in fields if field.name == cls.old)

    @classmethod
    def is_copy(cls) -> bool:
        """Whether the new value is the old one."""
        return not cls.mapping and cls.get_new_value is ColumnChange.get_new_value

    @classmethod
    def is_copied_back(cls) -> bool:
        """Whether the old value is the new one, if the old column can have it."""
        return not cls.mapping and cls.get_old_value is ColumnChange.get_old_value

    @classmethod
    def gone_and_kept(cls) -> tuple[str, str | None]:
        return (cls.new, cls.old) if cls.swap else (cls.old, cls.new)

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

    def new_field(self) -> Field[Any, Any]:
        return self.model._meta.get_field(self.new)  # type: ignore[return-value]

    def old_column(self) -> str:
        if not self.has_old_field() and self.new_field().is_relation:
            return f"{self.old}_id"
        return super().old_column()

    def new_value(self) -> Expression:
        """Return ``get_new_value()`` as the new column stores it."""
        return comparable_value(self.get_new_value(), self.new_field())

    def old_value(self) -> Expression | None:
        """Return ``get_old_value()`` as the old column stores it.

        A value that is too long or too large for it is refused by the column, or is none that it can keep.
        """
        value = self.get_old_value()
        if value is None:
            return None
        if self.unmappable == "keep":
            return expressible_value(value, self.old_field(), self.new_field())
        return comparable_value(value, self.old_field())


def _map_values(column: str, mapping: Mapping[Any, Any]) -> Case:
    return Case(*(When(**{column: key}, then=Value(value)) for key, value in mapping.items()), default=None)
