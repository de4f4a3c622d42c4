"""What happens when every lane is at its end: another sweep, or the checks and the end of the run."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from ops import runs
from ops.candidates import ahead_of, candidates
from ops.db import read_only, same_images
from ops.engine.locks import LAST_SWEEP
from ops.models import Failure, Lane, Run
from ops.operation import Check, Operation
from ops.scope import Scope
from ops.states import AT_WORK, State


def settle(run: Run, operation: Operation, scope: Scope) -> None:
    """Begin the next sweep if rows are left, or verify and end the run."""
    swept = run.sweep
    if swept < LAST_SWEEP and _left(run, operation, scope):
        _conclude(run, swept, next_sweep=True)
        return
    checks = verify(operation, scope, run)
    _conclude(run, swept, checks=checks, state=_verdict(run, checks))


def verify(operation: Operation, scope: Scope, run: Run | None = None) -> list[dict[str, Any]]:
    """What the operation's checks find, each ``{"label", "found", "sample"}``; found is 0 where it holds."""

    def ask(check: Check) -> dict[str, Any]:
        mine = check.queryset.model is operation.model
        rows = scope.narrow(check.queryset, run) if mine else check.queryset
        found = rows.count()
        label = operation.label if mine else "pk"
        sample = rows.order_by("pk").values_list(label, flat=True)[:5] if found else ()
        return {"label": check.label, "found": found, "sample": [str(row) for row in sample]}

    with read_only():
        return [ask(check) for check in operation.get_checks()]


def _left(run: Run, operation: Operation, scope: Scope) -> bool:
    """Whether a row is left that the next sweep would take."""
    ahead = Run(pk=run.pk, sweep=run.sweep + 1, scope=run.scope)
    rows = candidates(operation, scope, ahead)
    with same_images():
        return any(
            ahead_of(Lane(lower=lane.lower, upper=lane.upper), rows).exists()
            for lane in run.lanes.exclude(upper=None)
        )


def _verdict(run: Run, checks: list[dict[str, Any]]) -> State:
    if Failure.objects.filter(run=run).exists():
        return State.FINISHED_WITH_FAILURES
    return State.VERIFICATION_FAILED if any(check["found"] for check in checks) else State.SUCCEEDED


@transaction.atomic
def _conclude(run: Run, swept: int, next_sweep: bool = False, **ending: Any) -> None:
    """Do what was decided, unless another process has decided since."""
    now = Run.objects.select_for_update().get(pk=run.pk)
    swept_out = now.sweep == swept and not now.lanes.filter(finished=False).exists()
    if swept_out and now.state in AT_WORK:
        if not next_sweep:
            runs.end(now, **ending)
        elif now.state == State.RUNNING:
            runs.next_sweep(now)
    run.refresh_from_db()
