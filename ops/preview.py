"""What a run would do, seen before it does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, Sum
from django.utils import timezone

from ops.candidates import candidates
from ops.cautions import cautions
from ops.contract import remarks_of
from ops.creation import Request
from ops.db import read_only
from ops.declaration import build_steady
from ops.models import Run
from ops.operation import Operation
from ops.sql.compile import fields_of, with_changes

_SAMPLES = 5
# A run of fewer rows than this says more of its start than of its rate.
_TELLING = 1_000


@dataclass(frozen=True)
class Sample:
    """One row by its label, with each column's old and new value (only the old one if rows are processed)."""

    label: str
    values: dict[str, tuple[Any, Any] | tuple[Any]]


@dataclass(frozen=True)
class Preview:
    """``rate`` is in rows a second, learnt from run ``learnt_from`` where there is one."""

    operation: Operation
    total: int
    breakdown: list[tuple[Any, int]]
    samples: list[Sample]
    remarks: list[str]
    rate: float
    learnt_from: int | None

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.total / self.rate)


def preview(request: Request) -> Preview:
    """Look at the rows in one READ ONLY snapshot: nothing can be written here.

    Raises InvalidDeclaration, InvalidParams, or InvalidScope.
    """
    with read_only():
        operation = build_steady(request.operation, request.params, timezone.now())
        request.scope.check(operation.model)
        operation.check_rows()
        rows = candidates(operation, request.scope)
        rate, learnt_from = _rate(operation)
        return Preview(
            operation=operation,
            total=rows.count(),
            breakdown=_breakdown(rows, operation.breakdown),
            samples=_samples(rows.order_by("pk"), operation),
            remarks=[*remarks_of(operation, None), *cautions(operation)],
            rate=rate,
            learnt_from=learnt_from,
        )


def _breakdown(rows: Any, field: str | None) -> list[tuple[Any, int]]:
    if field is None:
        return []
    counted = rows.order_by().values_list(field).annotate(count=Count("pk"))
    return sorted(counted, key=lambda pair: (-pair[1], str(pair[0])))


def _samples(rows: Any, operation: Operation) -> list[Sample]:
    columns = [field.name for field in fields_of(operation)]
    if operation.is_per_row():
        told = rows.values_list(operation.label, *columns)[:_SAMPLES]
        return [
            Sample(str(row[0]), {c: (old,) for c, old in zip(columns, row[1:], strict=True)}) for row in told
        ]
    told = with_changes(rows.annotate(row_label_=F(operation.label)), operation, "row_label_")[:_SAMPLES]
    count = len(columns)
    return [
        Sample(
            str(row[0]),
            dict(zip(columns, zip(row[2 : 2 + count], row[2 + count :], strict=True), strict=True)),
        )
        for row in told
    ]


def _rate(operation: Operation) -> tuple[float, int | None]:
    """Rows a second of the newest run of the operation that changed enough of them, without a cap."""
    ended = Run.objects.filter(operation=operation.name, worked__gt=timedelta(), finished_at__isnull=False)
    counted = ended.filter(max_rate=None).annotate(changed=Sum("lanes__changed"))
    run = counted.filter(changed__gte=_TELLING).order_by("-pk").first()
    if run is None:
        return operation.guessed_rate, None
    return max(run.changed / max(run.worked.total_seconds(), 0.001), 1.0), run.pk
