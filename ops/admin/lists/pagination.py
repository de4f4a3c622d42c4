"""Pagination for lists of millions of rows: they are never counted, and a page reads its own rows."""

from __future__ import annotations

import json
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

# Pages have numbers up to here, since a number takes all rows before it. A longer list has pages by key.
MAX_COUNTED_ROWS = 10_000
# The same for a list with a search or with several filters, of which no index finds the rows in order.
MAX_COUNTED_MATCHES = 1_000


class ApproximateCount(int):
    """The planner's estimate of a count, shown as "about N"."""

    def __str__(self) -> str:
        return f"about {int(self):,}"


class LowerBoundCount(int):
    """A count that nobody has finished, shown as "N+"."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class UnknownCount(int):
    """The count of a list that was looked at in part."""

    def __str__(self) -> str:
        return "matching"


class LargeTablePaginator(Paginator):  # type: ignore[type-arg]
    """Reads the keys of the first ``max_counted`` rows once and pages through them; estimates the rest."""

    object_list: QuerySet[Any]
    max_counted: int | None = None

    @property
    def limit(self) -> int:
        return MAX_COUNTED_ROWS if self.max_counted is None else self.max_counted

    @cached_property
    def keys(self) -> list[Any]:
        return list(self.object_list.values_list("pk", flat=True)[: self.limit + 1])

    @property
    def is_exact(self) -> bool:
        """Whether ``keys`` holds the keys of all rows."""
        return len(self.keys) <= self.limit

    @cached_property
    def count(self) -> int:
        if self.is_exact:
            return len(self.keys)
        plan = json.loads(self.object_list.order_by().values("pk").explain(format="json"))[0]["Plan"]
        return ApproximateCount(max(self.limit, plan["Plan Rows"]))

    @cached_property
    def num_pages(self) -> int:
        return max(1, -(-min(self.count, self.limit) // self.per_page))

    def get_page_keys(self, number: int) -> list[Any]:
        """Return the keys of a page, counted from 1. Raises InvalidPage."""
        first = (self.validate_number(number) - 1) * self.per_page
        return self.keys[first : min(first + self.per_page, self.limit)]
