"""The keys along which a run advances, each batch from where the one before it stopped.

Keyset pagination: a batch costs what its own rows cost, however many lie before it. Keys are text in lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F, Model, QuerySet
from django.db.models.lookups import Exact, GreaterThan, LessThanOrEqual

from ops.sql.keylist import KeyList, KeyListColumn


@dataclass(frozen=True)
class Keyset:
    """The keys of the model's table; or only those of a list, in the list's order, which is that of text.

    ``rows`` are always querysets over the model, joined with the list where there is one.
    """

    model: type[Model]
    listed: KeyList | None = None

    def keys(self, after: Any = None, upper: Any = None) -> QuerySet[Any]:
        """All keys in ``(after, upper]``, whether of candidates or not, in order."""
        if self.listed:
            return _filter_key_range(self.listed.keys(), F("object_id"), after, upper)
        every = self.model._base_manager.order_by("pk").values_list("pk", flat=True)
        return _filter_key_range(every, F("pk"), after, upper)

    def between(self, rows: QuerySet[Any], after: Any, upper: Any) -> QuerySet[Any]:
        """The rows with a key in ``(after, upper]``; None leaves a side open."""
        return _filter_key_range(rows, self.order, after, upper)

    def one(self, rows: QuerySet[Any], key: Any) -> QuerySet[Any]:
        """The row with this key, as text."""
        rows = rows.filter(pk=key)
        return rows.filter(Exact(self.listed.key, key)) if self.listed else rows

    @property
    def order(self) -> F | KeyListColumn:
        """What to order rows by."""
        return self.listed.key if self.listed else F("pk")


def _filter_key_range(rows: QuerySet[Any], key: F | KeyListColumn, after: Any, upper: Any) -> QuerySet[Any]:
    if after is not None:
        rows = rows.filter(GreaterThan(key, after))
    return rows if upper is None else rows.filter(LessThanOrEqual(key, upper))
