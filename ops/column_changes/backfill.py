"""The operation that fills the new column of a column change, and the checks that the two columns agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import BooleanField, Expression, F, Func, Q, QuerySet

from ops.column_changes.declaration import ColumnChange
from ops.operations import Check, Operation


class IsDistinctFrom(Func):
    """Whether two values differ, where NULL equals NULL."""

    template = "%(expressions)s"
    arg_joiner = " IS DISTINCT FROM "
    output_field = BooleanField()


def build_operation(change: type[ColumnChange]) -> type[Operation]:
    """Return the operation of the change, a class."""
    declared = change()

    class Backfill(Operation):
        name = change.operation_name()
        model = change.model
        group_by = change.group_by
        display_field = change.display_field

        def get_queryset(self) -> QuerySet[Any]:
            return missing_rows(change)

        def get_changes(self) -> Mapping[str, Any]:
            return {change.new: declared.get_new_value()}

        def get_checks(self) -> Iterable[Check]:
            return build_checks(change)

    verb = "Copy {} into {}" if isinstance(declared.get_new_value(), F) else "Convert {} to {}"
    Backfill.__doc__ = f"{verb.format(change.old, change.new)} where it is missing."
    Backfill.__qualname__ = Backfill.__name__ = f"{change.__name__}Backfill"
    Backfill.__module__ = change.__module__
    return Backfill


def missing_rows(change: type[ColumnChange]) -> QuerySet[Any]:
    """Return the rows whose new column is empty and whose old one is not."""
    rows: QuerySet[Any] = change.model._base_manager.filter(**{f"{change.new}__isnull": True})
    return rows.filter(**{f"{change.old}__isnull": False}) if change().old_field().null else rows


def differing_rows(change: type[ColumnChange]) -> QuerySet[Any]:
    """Return the rows with a new value that is not that of the old one, nor the old one that of the new."""
    declared = change()
    differs: list[Expression] = [IsDistinctFrom(F(change.new), declared.new_value())]
    if (old_value := declared.old_value()) is not None:
        differs.append(IsDistinctFrom(F(change.old), old_value))
    rows: QuerySet[Any] = change.model._base_manager.filter(Q(**{f"{change.new}__isnull": False}), *differs)
    return rows


def build_checks(change: type[ColumnChange]) -> list[Check]:
    """Return the checks that every row has the new value, and that it is that of the old one."""
    rows = change.model._meta.verbose_name_plural
    return [
        Check(f"{rows} without {change.new}", missing_rows(change)),
        Check(f"{rows} whose {change.new} differs from {change.old}", differing_rows(change)),
    ]
