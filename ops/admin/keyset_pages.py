"""Pages of a long list by key: the rows after a row, or before it. A page costs the same wherever it is.

The page in the URL is ``after-KEY``, ``before-KEY`` or ``last``; or a number, which this module leaves alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model, QuerySet

from ops.admin.key_validation import is_valid_key

LAST = "last"


@dataclass(frozen=True)
class KeysetPage:
    """The keys of a page in the list's order, and whether the list goes on before and after them."""

    keys: list[Any]
    has_previous: bool
    has_next: bool

    @property
    def previous(self) -> str:
        """The page parameter of the page before this one; "" on the first."""
        return f"before-{self.keys[0]}" if self.has_previous else ""

    @property
    def next(self) -> str:
        return f"after-{self.keys[-1]}" if self.has_next else ""


def is_keyset_ordered(rows: QuerySet[Any]) -> bool:
    """Whether the list is in the order of a unique column, so that a row has one place in it."""
    return _find_unique_order(rows) is not None


def read_page(rows: QuerySet[Any], parameter: str, size: int, joined_key: str = "") -> KeysetPage | None:
    """Read a page of ordered rows; None if the parameter names none, or a row that is gone.

    ``joined_key`` is the rows' key in a table that they are joined with. PostgreSQL does not conclude that
    a table that is joined by equal keys begins at the same key: it would read all of it.
    """
    side, _, key = parameter.partition("-")
    if parameter == LAST:
        keys = _read_keys(rows.reverse(), size)
        return KeysetPage(keys[:size][::-1], len(keys) > size, False)
    if side not in ("after", "before"):
        return None
    beyond = _filter_after(rows, key, side == "before", joined_key)
    if beyond is None:
        return None
    keys = _read_keys(beyond, size)
    if not keys:  # They were deleted meanwhile.
        return read_page(rows, LAST, size) if side == "after" else None
    if side == "after":
        return KeysetPage(keys[:size], True, len(keys) > size)
    return KeysetPage(keys[:size][::-1], len(keys) > size, True)


def find_neighbour(rows: QuerySet[Any], key: str, is_previous: bool, joined_key: str = "") -> Any:
    """Return the key of the row after this one, or before it; None at the end. ``joined_key`` as above.

    A list without a unique order is taken in the order of its keys, the newest first.
    """
    if not is_keyset_ordered(rows):
        rows = rows.order_by("-pk")
    beyond = _filter_after(rows, key, is_previous, joined_key)
    return None if beyond is None else next(iter(_read_keys(beyond, 0)), None)


def _read_keys(rows: QuerySet[Any], size: int) -> list[Any]:
    """Read the keys of a page, and one more where the list goes on."""
    return list(rows.values_list("pk", flat=True)[: size + 1])


def _filter_after(rows: QuerySet[Any], key: str, is_reversed: bool, joined_key: str) -> QuerySet[Any] | None:
    """Filter the rows that come after the row with this key; in the reversed list, those before it."""
    order = _find_unique_order(rows)
    if order is None or not is_valid_key(key, rows.model._meta.pk):
        return None
    column, is_descending = order
    lookup = "lt" if is_descending != is_reversed else "gt"
    if column == rows.model._meta.pk.name:  # A key has its place even if its row was deleted.
        conditions = {f"{name}__{lookup}": key for name in ("pk", joined_key) if name}
    else:
        value = rows.model._base_manager.filter(pk=key).values_list(column, flat=True).first()
        if value is None:
            return None
        conditions = {f"{column}__{lookup}": value}
    return (rows.reverse() if is_reversed else rows).filter(**conditions)


def _find_unique_order(rows: QuerySet[Any]) -> tuple[str, bool] | None:
    """Return the unique column by which the rows are ordered first, and whether they descend."""
    order = next(iter(rows.query.order_by), None)
    if not isinstance(order, str):
        return None
    name = order.removeprefix("-")
    try:
        field: Any = rows.model._meta.pk if name == "pk" else rows.model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return (field.name, order.startswith("-")) if _is_unique(rows.model, field) else None


def _is_unique(model: type[Model], field: Field[Any, Any]) -> bool:
    by_constraint = {each.fields for each in model._meta.total_unique_constraints}
    return not field.null and (field.unique or (field.name,) in by_constraint)
