"""Pages of a long list by key: the rows after a row, or before it. A page costs the same wherever it is.

The page in the URL is ``after-KEY``, ``before-KEY`` or ``last``; or a number, which this module leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model, QuerySet

from ops.admin.values.key_validation import is_valid_key

LAST = "last"
# How many rows a page looks at for a filter that no index serves.
SCANNED_ROWS = 50_000


@dataclass(frozen=True)
class KeysetPage:
    """The keys of a page in the list's order, and whether the list goes on before and after them."""

    keys: list[Any]
    has_previous: bool
    has_next: bool
    # Where the next page begins, if it is not the last key: a scanned page may have none.
    next_parameter: str = ""

    @property
    def previous(self) -> str:
        """The page parameter of the page before this one; "" on the first."""
        return f"before-{self.keys[0]}" if self.has_previous and self.keys else ""

    @property
    def next(self) -> str:
        return (self.next_parameter or f"after-{self.keys[-1]}") if self.has_next else ""


@dataclass(frozen=True)
class ScannedPage:
    """The keys of a page of scanned rows. ``next`` is the next page's parameter; "" after the last row."""

    keys: list[Any]
    next: str
    is_first: bool


def is_keyset_ordered(rows: QuerySet[Any]) -> bool:
    """Whether the list is in the order of a unique column, so that a row has one place in it."""
    return _find_unique_order(rows) is not None


def read_page(
    rows: QuerySet[Any], parameter: str, size: int, joined_keys: Sequence[str] = ()
) -> KeysetPage | None:
    """Read a page of ordered rows; None if the parameter names none, or a row that is gone.

    ``joined_keys`` are the rows' key in tables that they are joined with. PostgreSQL does not conclude that
    a table that is joined by equal keys begins at the same key: it would read all of it.
    """
    side, _, key = parameter.partition("-")
    if parameter == LAST:
        keys = _read_keys(rows.reverse(), size)
        return KeysetPage(keys[:size][::-1], len(keys) > size, False)
    if side not in ("after", "before"):
        return None
    beyond = _filter_beyond(rows.reverse() if side == "before" else rows, key, joined_keys)
    if beyond is None:
        return None
    keys = _read_keys(beyond, size)
    if not keys:  # They were deleted meanwhile.
        return read_page(rows, LAST, size) if side == "after" else None
    if side == "after":
        return KeysetPage(keys[:size], True, len(keys) > size)
    return KeysetPage(keys[:size][::-1], len(keys) > size, True)


def read_scanned_page(
    table: QuerySet[Any],
    rows: QuerySet[Any],
    scan: Callable[[QuerySet[Any]], QuerySet[Any]],
    parameter: str,
    size: int,
    joined_keys: Sequence[str] = (),
) -> ScannedPage:
    """Read a page of the rows that ``scan`` filters, among the next SCANNED_ROWS of the table.

    ``rows`` are those of the table that an index finds, in the same order.
    """
    side, _, key = parameter.partition("-")
    beyond = _filter_beyond(rows, key, joined_keys) if side == "after" else None
    rows, is_first = (rows, True) if beyond is None else (beyond, False)
    if not is_first and (rest := _filter_beyond(table, key)) is not None:
        table = rest
    rows, end = _limit_to_window(rows, table, joined_keys)
    keys = _read_keys(scan(rows), size)
    last = keys[size - 1] if len(keys) > size else end
    return ScannedPage(keys[:size], "" if last is None else f"after-{last}", is_first)


def find_neighbour(
    rows: QuerySet[Any],
    key: str,
    is_previous: bool,
    joined_keys: Sequence[str] = (),
    scanned_table: QuerySet[Any] | None = None,
) -> tuple[Any, bool]:
    """Return the key of the row after this one, or before it, and whether the list was looked at to its end.

    The key is None at the end. ``joined_keys`` as above.

    A list without a unique order is taken in the order of its keys, the newest first. Rows that no index
    finds are looked for among the next SCANNED_ROWS of ``scanned_table``, which has their order.
    """
    if not is_keyset_ordered(rows):
        rows = rows.order_by("-pk")
    beyond, end = _filter_beyond(rows.reverse() if is_previous else rows, key, joined_keys), None
    if beyond is None:
        return None, True
    if scanned_table is not None:
        table = _filter_beyond(scanned_table.reverse() if is_previous else scanned_table, key)
        beyond, end = _limit_to_window(beyond, scanned_table if table is None else table, joined_keys)
    return next(iter(_read_keys(beyond, 0)), None), end is None


def _limit_to_window(
    rows: QuerySet[Any], table: QuerySet[Any], joined_keys: Sequence[str]
) -> tuple[QuerySet[Any], Any]:
    """Limit the rows to the first SCANNED_ROWS of the table; return the last key, or None if it has fewer."""
    end = table.values_list("pk", flat=True)[SCANNED_ROWS - 1 : SCANNED_ROWS].first()
    up_to = None if end is None else _filter_beyond(rows.reverse(), end, joined_keys, is_inclusive=True)
    return (rows if up_to is None else up_to.reverse()), end


def _read_keys(rows: QuerySet[Any], size: int) -> list[Any]:
    """Read the keys of a page, and one more where the list goes on."""
    return list(rows.values_list("pk", flat=True)[: size + 1])


def _filter_beyond(
    rows: QuerySet[Any], key: Any, joined_keys: Sequence[str] = (), *, is_inclusive: bool = False
) -> QuerySet[Any] | None:
    """Filter the rows that come after the row with this key; None if there is no such row."""
    order = _find_unique_order(rows)
    if order is None or not is_valid_key(key, rows.model._meta.pk):
        return None
    column, is_descending = order
    lookup = ("lt" if is_descending != (not rows.query.standard_ordering) else "gt") + "e" * is_inclusive
    if column == rows.model._meta.pk.name:  # A key has its place even if its row was deleted.
        conditions = {f"{name}__{lookup}": key for name in ("pk", *joined_keys)}
    else:
        value = rows.model._base_manager.filter(pk=key).values_list(column, flat=True).first()
        if value is None:
            return None
        conditions = {f"{column}__{lookup}": value}
    return rows.filter(**conditions)


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
