"""The preview of a run: what it would change, computed without writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DataError, transaction
from django.db.models import Count, F, Max, QuerySet, Sum
from django.utils import timezone

from ops.db import read_only_snapshot
from ops.formatting import first_line, rows_per_second
from ops.models import Run
from ops.operations.base import Operation
from ops.operations.candidates import build_keyset, candidates
from ops.operations.compiler import select_changes, written_fields
from ops.operations.contract import collect_notes
from ops.operations.refusals import VALUES_COMPUTED_LATER, predict_failures
from ops.operations.scope import Scope
from ops.operations.side_effects import iter_table_warnings
from ops.operations.validation import build_deterministic_operation, check_query_plan, model_label
from ops.runs.creation import RunRequest
from ops.runs.followups import find_dependent_operations
from ops.runs.rebuild import rebuild_operation

_SAMPLE_SIZE = 5
# The rate of a run with fewer rows is mostly the time of its start.
_MIN_ROWS_FOR_RATE = 1_000


@dataclass(frozen=True)
class Sample:
    """The display name of a row, and each column's old and new value (only the old one with process())."""

    label: str
    values: dict[str, tuple[Any, Any] | tuple[Any]]


@dataclass(frozen=True)
class Preview:
    """``rate`` is in rows a second: that of run ``rate_source_run`` where there is one, else an estimate.

    ``max_rate`` is the run's own limit, if the rate would be above it. ``checks`` are what is checked at the
    end, and ``followups`` the operations that start by themselves then.
    """

    operation: Operation
    total: int
    breakdown: list[tuple[Any, int]]
    samples: list[Sample]
    notes: list[str]
    rate: float
    rate_source_run: int | None
    max_rate: int | None = None
    checks: Sequence[str] = ()
    followups: Sequence[str] = ()

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.total / (self.max_rate or self.rate))


def build_preview(request: RunRequest) -> Preview:
    """Compute the preview in one READ ONLY snapshot, so that nothing can be written.

    Raises InvalidDeclaration, InvalidParams, or InvalidScope.
    """
    with read_only_snapshot():
        operation = build_deterministic_operation(request.operation, request.params, timezone.now())
        request.scope.validate(operation.model)
        return _preview_rows(operation, candidates(operation, request.scope), request.max_rate)


def build_run_preview(run: Run) -> Preview:
    """Compute the preview of a run that has not started, as `build_preview`: of the rows it was asked for.

    Raises DeclarationChanged.
    """
    with read_only_snapshot():
        operation, scope = rebuild_operation(run), Scope.of_run(run)
        last = run.lanes.order_by("-number").values_list("upper", flat=True).first()
        rows = build_keyset(operation, scope, run).filter_range(candidates(operation, scope, run), None, last)
        return _preview_rows(operation, rows, run.max_rate)


def _preview_rows(operation: Operation, rows: QuerySet[Any], max_rate: int | None) -> Preview:
    check_query_plan(operation)
    operation.check_preconditions()
    rate, rate_source_run = _estimate_rate(operation)
    samples, warnings = _sample_rows(rows.order_by("pk"), operation)
    breakdown = _count_by_group(rows, operation.group_by)
    columns = [field.name for field in written_fields(operation)]
    return Preview(
        operation=operation,
        total=_count_prepared(operation)
        + (sum(count for _, count in breakdown) if operation.group_by else rows.count()),
        breakdown=breakdown,
        samples=samples,
        notes=[
            *(warnings if samples else ()),
            *collect_notes(operation, None),
            *iter_table_warnings(operation),
        ],
        rate=rate,
        rate_source_run=rate_source_run,
        max_rate=max_rate if max_rate and max_rate < rate else None,
        checks=[check.label for check in operation.get_checks()],
        followups=find_dependent_operations(model_label(operation.model), columns),
    )


def _count_prepared(operation: Operation) -> int:
    return operation.prepared_rows.count() if operation.prepared_rows else 0


def _count_by_group(rows: Any, field: str | None) -> list[tuple[Any, int]]:
    if field is None:
        return []
    counted = rows.order_by().values_list(field).annotate(count=Count("pk"))
    return sorted(counted, key=lambda pair: (-pair[1], str(pair[0])))


def _sample_rows(rows: Any, operation: Operation) -> tuple[list[Sample], list[str]]:
    """Return the first rows, and warnings about the new values of these and the next rows."""
    if operation.is_per_row():
        return _sample_old_values(rows, operation), [VALUES_COMPUTED_LATER]
    try:
        with transaction.atomic():
            warnings = list(predict_failures(rows, operation))
            return _sample_new_values(rows[:_SAMPLE_SIZE], operation), warnings
    except DataError as exc:
        reason = first_line(exc)
        warning = f"the new values of some rows cannot be computed, and these rows would fail: {reason}"
    return _sample_old_values(rows, operation), [warning]


def _sample_old_values(rows: Any, operation: Operation) -> list[Sample]:
    columns = [field.name for field in written_fields(operation)]
    samples = []
    for name, *values in rows.values_list(operation.display_field, *columns)[:_SAMPLE_SIZE]:
        old_values = zip(columns, values, strict=True)
        samples.append(Sample(str(name), {column: (old,) for column, old in old_values}))
    return samples


def _sample_new_values(rows: Any, operation: Operation) -> list[Sample]:
    columns = [field.name for field in written_fields(operation)]
    labelled = select_changes(rows.annotate(row_label_=F(operation.display_field)), operation, "row_label_")
    samples = []
    for label, _, *values in labelled:
        pairs = zip(values[: len(columns)], values[len(columns) :], strict=True)
        samples.append(Sample(str(label), dict(zip(columns, pairs, strict=True))))
    return samples


def _estimate_rate(operation: Operation) -> tuple[float, int | None]:
    """Return rows a second and the run they are from: the newest with enough rows and no --max-rate."""
    ended = Run.objects.filter(operation=operation.name, worked__gt=timedelta(), finished_at__isnull=False)
    counted = ended.filter(max_rate=None).annotate(changed=Sum("lanes__changed"), busiest=Max("lanes__busy"))
    run = counted.filter(changed__gte=_MIN_ROWS_FOR_RATE).order_by("-pk").first()
    if run is None:
        return operation.estimated_rate, None
    return max(rows_per_second(run.changed, max(run.worked, run.busiest)), 1.0), run.pk
