"""A dataset of an export: rows of one table, written to one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from ops.models import AuditLog


@dataclass(frozen=True)
class Dataset:
    """The rows of a queryset, in its order, with all columns of their table.

    ``columns`` maps a column to the SQL expression written in its place; None leaves the column out.
    """

    name: str
    queryset: QuerySet[Any]
    columns: Mapping[str, str | None] = field(default_factory=dict)


# A run's number means nothing in another database. So it is written to metadata, where an imported audit row
# keeps it: an export of the imported rows has the same bytes.
_RUN_IN_METADATA = {
    "run_id": None,
    "metadata": "CASE WHEN run_id IS NULL THEN metadata"
    " ELSE coalesce(metadata, '{}') || jsonb_build_object('run', run_id) END",
}


def audit_dataset(rows: QuerySet[AuditLog], last: int | None) -> Dataset:
    """Build the dataset of audit rows; ``last``: only so many of the newest, None for all."""
    return Dataset("audit_logs", _last_rows(rows, last).order_by("pk"), _RUN_IN_METADATA)


def _last_rows(rows: QuerySet[AuditLog], last: int | None) -> QuerySet[AuditLog]:
    if last is None:
        return rows
    if last == 0:
        return rows.none()
    first = rows.order_by("-pk").values("pk")[last - 1 : last]
    return rows.filter(pk__gte=Coalesce(Subquery(first), Value(0)))
