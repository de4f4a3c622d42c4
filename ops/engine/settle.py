"""What happens when every lane is at its end: another sweep, or the checks and the end of the run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from ops import runs
from ops.candidates import candidates, keyset_of
from ops.db import read_only, same_images, unhurried
from ops.engine.locks import LAST_SWEEP
from ops.lost import lost, refresh
from ops.models import Run
from ops.operation import Check, Operation, is_wrong
from ops.scope import Scope, words_of
from ops.states import AT_WORK, State

# Note [What is left after the last sweep]
# The last sweep tries each candidate alone, and one that it sees and cannot change is a failure, whatever the
# reason: a lock, an error, a trigger, or row-level security, which lets a role see rows that it may not
# change. So a row that is left then, and is no failure, came to need the change while that sweep was under
# way. Two more sweeps are for those. Where players make more of them all the while, that is no fault of the
# run: they are told beside what the checks found, by number and by name.
_SWEEPS = LAST_SWEEP + 2
_SAMPLE = 5


@unhurried()
def settle(run: Run, operation: Operation, scope: Scope) -> None:
    """Begin the next sweep if rows are left, or verify and end the run."""
    swept = run.sweep
    left = _left(run, operation, scope)
    if left and swept < _SWEEPS:
        _conclude(run, swept, next_sweep=True)
        return
    checks = [*verify(operation, scope, run), *([_late(operation, left)] if left else [])]
    _conclude(run, swept, checks=checks, state=_verdict(run, checks))


def verify(operation: Operation, scope: Scope, run: Run | None = None) -> list[dict[str, Any]]:
    """What the operation's checks find, each ``{"label", "found", "sample"}``; found is 0 where it holds.

    A ``scope`` tells of which rows it was asked, where those were not all.
    """

    def ask(check: Check) -> dict[str, Any]:
        mine = check.queryset.model is operation.model
        rows = scope.narrow(check.queryset, run) if mine else check.queryset
        found = rows.count()
        label = operation.label if mine else "pk"
        sample = rows.order_by("pk").values_list(label, flat=True)[:_SAMPLE] if found else ()
        told = {"label": check.label, "found": found, "sample": [str(row) for row in sample]}
        within = words_of(run) if mine and run else ""
        return {**told, "scope": within} if within else told

    with read_only():
        return [ask(check) for check in operation.get_checks()]


def _left(run: Run, operation: Operation, scope: Scope) -> list[QuerySet[Any]]:
    """The rows that the next sweep would take, by lane; no lane without any."""
    ahead = Run(pk=run.pk, sweep=run.sweep + 1, scope=run.scope)
    rows, keyset = candidates(operation, scope, ahead), keyset_of(operation, scope, run)
    lanes = [keyset.between(rows, lane.lower, lane.upper) for lane in run.lanes.exclude(upper=None)]
    with same_images():
        return [left for left in lanes if left.exists()]


def _late(operation: Operation, left: Sequence[QuerySet[Any]]) -> dict[str, Any]:
    """The rows that came to need the change too late for the run, as a check's findings are told."""
    label = (
        f"{operation.model._meta.verbose_name_plural} that came to need it while the last sweep was under way"
    )
    with read_only():
        names = chain.from_iterable(
            rows.order_by().values_list(operation.label, flat=True)[:_SAMPLE] for rows in left
        )
        sample = [str(name) for name in islice(names, _SAMPLE)]
        return {"label": label, "found": sum(rows.count() for rows in left), "sample": sample, "late": True}


def _verdict(run: Run, checks: list[dict[str, Any]]) -> State:
    if run.failures.counted().exists():
        return State.FINISHED_WITH_FAILURES
    return State.VERIFICATION_FAILED if any(map(is_wrong, checks)) else State.SUCCEEDED


@transaction.atomic
def _conclude(run: Run, swept: int, next_sweep: bool = False, **ending: Any) -> None:
    """Do what was decided, unless another process has decided since."""
    now = Run.objects.select_for_update().filter(pk=run.pk).first()
    if now is None:
        raise lost(run)
    swept_out = now.sweep == swept and not now.lanes.filter(finished=False).exists()
    if swept_out and now.state in AT_WORK:
        if not next_sweep:
            now.failures.filter(to_retry=True).delete()  # each was tried again, or needs no change any more
            runs.end(now, **ending)
        elif now.state == State.RUNNING:
            runs.next_sweep(now)
    refresh(run)
