"""How a run comes to be: what is asked, and the run, with its claims and its lanes, that is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from ops import claims, demand
from ops.candidates import candidates, keyset_of
from ops.db import same_images
from ops.declaration import build_steady, check_on_server, fingerprint, label_of
from ops.events import tell_created
from ops.models import Lane, Run
from ops.operation import Operation
from ops.scope import Scope
from ops.sql.compile import fields_of
from ops.sql.counts import whole_joins
from ops.sql.keyset import Keyset
from ops.sql.types import types_of


@dataclass(frozen=True)
class Request:
    """What a run is asked: raw parameters, scope, who asks, and how it is to be executed.

    With ``workers`` it is for so many of them to advance (see ops.queue.bell); without, for whoever asks.
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


def create(request: Request) -> Run:
    """A queued run that has claimed its columns.

    Raises InvalidDeclaration, InvalidParams, InvalidScope, NoBackup, or ColumnClaimed.
    """
    as_of = timezone.now()
    operation = build_steady(request.operation, request.params, as_of)
    request.scope.check_filter(operation.model)
    without_backup = demand.overridden(request.without_backup)
    with same_images():
        check_on_server(operation)
        operation.check_rows()
    with same_images():
        run = Run.objects.create(
            operation=operation.name,
            model=label_of(operation.model),
            columns=[field.name for field in fields_of(operation)],
            types=types_of(operation.model, fields_of(operation)),
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
        )
        request.scope.store(run, operation.model)
        keyset = keyset_of(operation, request.scope, run)
        last = _lay_lanes(run, keyset, max(request.lanes, request.workers or 1))
        with whole_joins(keyset):
            run.total = keyset.between(candidates(operation, request.scope, run), None, last).count()
        run.save(update_fields=["total"])
        claims.take(run)
        tell_created(run)
    return run


def _lay_lanes(run: Run, keyset: Keyset, count: int) -> str | None:
    """Lanes of about as many keys each over those that exist now: newer rows are not this run's.

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
