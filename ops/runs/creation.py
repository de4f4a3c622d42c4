"""Create a run with its claims and lanes from a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from ops.db import canonical_output
from ops.models import Lane, Origin, Run
from ops.operations.base import Operation
from ops.operations.candidates import build_keyset, count_candidates
from ops.operations.compiler import written_fields
from ops.operations.scope import Scope
from ops.operations.validation import (
    build_deterministic_operation,
    check_query_plan,
    fingerprint,
    model_label,
)
from ops.runs import approval_policy, backup_policy, claims
from ops.runs.events import log_created
from ops.sql.keyset import Keyset
from ops.sql.types import read_column_types


@dataclass(frozen=True)
class RunRequest:
    """Raw parameters, scope, who asks, and how to execute the run.

    With ``workers`` that many workers advance it (see ops.queue.enqueue); without, the process that asks.
    ``origin`` decides whether it may need a second person, who reads the ``comment``.
    """

    operation: type[Operation]
    performed_by: str
    params: Mapping[str, Any] = field(default_factory=dict)
    scope: Scope = field(default_factory=Scope)
    lanes: int = 1
    batch_size: int | None = None
    max_rate: int | None = None
    max_failures: int | None = None
    workers: int | None = None
    without_backup: bool = False
    ignored_health: Sequence[str] = ()
    follows: Run | None = None
    origin: Origin = Origin.NONE
    comment: str = ""


def create_run(request: RunRequest) -> Run:
    """Create a queued run that has claimed its columns, or one that waits for a second person.

    Raises InvalidDeclaration, InvalidParams, InvalidScope, BackupRequired, or ColumnClaimed.
    """
    as_of = timezone.now()
    operation = build_deterministic_operation(request.operation, request.params, as_of)
    request.scope.validate_filter(operation.model)
    without_backup = backup_policy.require_backup(request.without_backup)
    with canonical_output():
        check_query_plan(operation)
        operation.check_preconditions()
    with canonical_output():
        run = Run.objects.create(
            operation=operation.name,
            model=model_label(operation.model),
            columns=[field.name for field in written_fields(operation)],
            types=read_column_types(operation.model, written_fields(operation)),
            params=dict(request.params),
            scope=request.scope.as_json(),
            version=fingerprint(operation),
            as_of=as_of,
            performed_by=request.performed_by,
            total=0,
            batch_size=request.batch_size,
            max_rate=request.max_rate,
            max_failures=request.max_failures,
            workers=request.workers,
            without_backup=without_backup,
            ignored_health=sorted({*request.ignored_health}),
            follows=request.follows,
            origin=request.origin,
        )
        request.scope.store(run, operation.model)
        keyset = build_keyset(operation, request.scope, run)
        last = _create_lanes(run, keyset, max(request.lanes, request.workers or 1))
        run.total = count_candidates(operation, request.scope, run, last)
        run.save(update_fields=["total"])
        _claim_or_hold(run, request)
        log_created(run)
    return run


def _claim_or_hold(run: Run, request: RunRequest) -> None:
    need = approval_policy.find_need(
        request.operation, request.scope, run.origin, run.performed_by, run.total, run
    )
    if need is None:
        claims.acquire(run)
    else:
        approval_policy.hold_for_approval(run, need, request.comment)


def _create_lanes(run: Run, keyset: Keyset, count: int) -> str | None:
    """Create lanes of about equal size over the keys that exist now; newer rows are not in the run.

    Returns the last key.
    """
    keys = keyset.keys()
    total = keys.count() if count > 1 else 0
    places = sorted({total * number // count for number in range(1, count)} - {0})
    bounds = [None, *(str(keys[place - 1]) for place in places)]
    last = keys.last()
    uppers = [*bounds[1:], None if last is None else str(last)]
    Lane.objects.bulk_create(
        Lane(run=run, number=number, lower=lower, upper=upper, finished=last is None)
        for number, (lower, upper) in enumerate(zip(bounds, uppers, strict=True), start=1)
    )
    return uppers[-1]
