"""A column that is about to leave its table: who writes it is recorded, and rows may leave it out."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class WatchedColumn:
    """The old column of a change, as a migration stores it.

    ``default`` is the SQL of its default; ``has_own_default`` is false where that is not the table's.
    ``nullable``: the column may be NULL.
    """

    change: str
    table: str
    old: str
    default: str | None = field(default=None, kw_only=True)
    has_own_default: bool = field(default=True, kw_only=True)
    nullable: bool = field(default=False, kw_only=True)

    @property
    def trigger_prefix(self) -> str:
        """What the names of the triggers and of their functions begin with."""
        return f"column_watch_{self.change}_"

    @property
    def trigger_parts(self) -> tuple[str, ...]:
        """What they end in."""
        return ("by_insert", "by_update", *(("fill",) if self.fills_default else ()))

    @property
    def has_default_in_table(self) -> bool:
        """Whether the old column keeps its default, since its NULL is a value and not one left out."""
        return self.default is not None and self.has_own_default and self.nullable

    @property
    def fills_default(self) -> bool:
        """Whether the triggers fill in the old column's default, in place of the table."""
        return self.default is not None and not self.has_default_in_table

    def arguments(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def deconstruct(self) -> tuple[str, tuple[()], dict[str, Any]]:
        """Return how a migration writes it; Django's decorator does not work on a frozen class."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        values = self.arguments()
        return (
            path,
            (),
            {field.name: values[field.name] for field in fields(self) if values[field.name] != field.default},
        )
