"""Keyset pagination: each batch begins at the key at which the one before it ended.

A batch costs what its own rows cost, however many come before it. Lanes store keys as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F, Model, QuerySet
from django.db.models.lookups import Exact, GreaterThan, LessThanOrEqual

from ops.sql.keylist import KeyList, KeyListColumn


@dataclass(frozen=True)
class Keyset:
    """The keys of a model's table; or only those of a list, in the list's order, which is that of text.

    ``rows`` are always querysets over the model, joined with the list if there is one.
    """

    model: type[Model]
    key_list: KeyList | None = None

    def keys(self, after: Any = None, upper: Any = None) -> QuerySet[Any]:
        """All keys in ``(after, upper]``, candidates or not, in order; None leaves a side open."""
        if self.key_list:
            return _filter_key_range(self.key_list.keys(), F("object_id"), after, upper)
        keys = self.model._base_manager.order_by("pk").values_list("pk", flat=True)
        return _filter_key_range(keys, F("pk"), after, upper)

    def count_listed(self) -> int:
        """Count the keys of the list; 0 without one."""
        return self.keys().count() if self.key_list else 0

    def filter_range(self, rows: QuerySet[Any], after: Any, upper: Any) -> QuerySet[Any]:
        """The rows with a key in ``(after, upper]``; None leaves a side open."""
        return _filter_key_range(rows, self.order_key, after, upper)

    def filter_key(self, rows: QuerySet[Any], key: Any) -> QuerySet[Any]:
        """The row with this key, given as text."""
        rows = rows.filter(pk=key)
        return rows.filter(Exact(self.key_list.key, key)) if self.key_list else rows

    @property
    def order_key(self) -> F | KeyListColumn:
        """The expression by which the rows are ordered."""
        return self.key_list.key if self.key_list else F("pk")


def _filter_key_range(rows: QuerySet[Any], key: F | KeyListColumn, after: Any, upper: Any) -> QuerySet[Any]:
    if after is not None:
        rows = rows.filter(GreaterThan(key, after))
    return rows if upper is None else rows.filter(LessThanOrEqual(key, upper))
