"""The operation that fills the new column of a column change, and the checks that the two columns agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import BooleanField, F, Func, Q, QuerySet
from django.db.models.lookups import IsNull

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
            rows = missing_rows(change)
            # What the mapping leaves out stays empty; the checks find it.
            return rows.filter(IsNull(change().new_value(), False)) if change.mapping else rows

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


def rows_without_new_value(change: type[ColumnChange]) -> QuerySet[Any]:
    """Return the rows that the backfill would leave empty, since their new value is NULL."""
    return missing_rows(change).filter(IsNull(change().new_value(), True))


def differing_rows(change: type[ColumnChange]) -> QuerySet[Any]:
    """Return the rows with a new value that is not that of the old one, nor the old one that of the new.

    Where the declaration keeps old values, without the ``inexpressible_rows``.
    """
    declared = change()
    old_value = declared.old_value()
    rows = _rows_of_another_value(change)
    if old_value is None:
        return rows.none() if change.unmappable == "keep" else rows
    rows = rows.filter(IsDistinctFrom(F(change.old), old_value))
    return rows.filter(IsNull(old_value, False)) if change.unmappable == "keep" else rows


def inexpressible_rows(change: type[ColumnChange]) -> QuerySet[Any]:
    """Return the rows whose new value has no old one, so that the old column kept another value."""
    old_value = change().old_value()
    rows = _rows_of_another_value(change)
    return rows if old_value is None else rows.filter(IsNull(old_value, True))


def _rows_of_another_value(change: type[ColumnChange]) -> QuerySet[Any]:
    """Return the rows with a new value that is not that of the old one."""
    differs = IsDistinctFrom(F(change.new), change().new_value())
    rows: QuerySet[Any] = change.model._base_manager.filter(Q(**{f"{change.new}__isnull": False}), differs)
    return rows


def build_checks(change: type[ColumnChange]) -> list[Check]:
    """Return the checks that every row has the new value, and that it is that of the old one."""
    rows = change.model._meta.verbose_name_plural
    return [
        Check(f"{rows} without {change.new}", missing_rows(change)),
        Check(f"{rows} whose {change.new} differs from {change.old}", differing_rows(change)),
    ]
