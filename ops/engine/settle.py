"""What happens when every lane is at its end: another sweep, or the checks and the end of the run."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Sum

from ops import runs
from ops.candidates import candidates, keyset_of
from ops.db import read_only, unhurried
from ops.engine.locks import LAST_SWEEP
from ops.lost import lost, refresh
from ops.models import Run
from ops.operation import Operation, is_wrong
from ops.scope import Scope, words_of
from ops.sql.counts import counts, is_over, whole_joins
from ops.sql.keyset import Keyset
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
    number, checks = _look(operation, scope, run, left)
    if number and swept < _SWEEPS:
        _conclude(run, swept, next_sweep=True)
        return
    checks += [_late(operation, left, number)] if number else []
    _conclude(run, swept, checks=checks, state=_verdict(run, checks))


def verify(operation: Operation, scope: Scope) -> list[dict[str, Any]]:
    """What the operation's checks find, each ``{"label", "found", "sample"}``; found is 0 where it holds.

    A ``scope`` tells of which rows it was asked, where those were not all.
    """
    return _look(operation, scope, None, operation.model._base_manager.none())[1]


def _look(
    operation: Operation, scope: Scope, run: Run | None, left: QuerySet[Any]
) -> tuple[int, list[dict[str, Any]]]:
    """How many rows are left, and what the checks find: of one snapshot, and mostly in one scan."""
    checks = list(operation.get_checks())
    mine = [check.queryset.model is operation.model for check in checks]
    rows = [
        _in_scope(scope, check.queryset, run) if own else check.queryset
        for check, own in zip(checks, mine, strict=True)
    ]
    keyset = keyset_of(operation, scope, run)
    with read_only(), whole_joins(keyset):
        if run and _is_dealt_with(run, keyset):
            left = left.none()
        number, *found = counts([left, *rows], keyset.listed)
        samples = [
            _sample(_in_order(of), operation.label if own else "pk") if number else []
            for of, own, number in zip(rows, mine, found, strict=True)
        ]
    within = {"scope": words_of(run)} if run and words_of(run) else {}
    return number, [
        {"label": check.label, "found": number, "sample": sample, **(within if own else {})}
        for check, own, number, sample in zip(checks, mine, found, samples, strict=True)
    ]


def _is_dealt_with(run: Run, keyset: Keyset) -> bool:
    """Whether the run changed each row of its list, or failed on it, so that none can be left.

    To look at each row and its entry once more takes a fourth as long as it took to change them all.
    """
    if keyset.listed is None:
        return False
    changed = run.lanes.aggregate(all=Sum("changed"))["all"] or 0
    return keyset.keys().count() == changed + run.failures.counted().count()


def _in_scope(scope: Scope, rows: QuerySet[Any], run: Run | None) -> QuerySet[Any]:
    return scope.candidates(rows, run) if is_over(rows) else scope.narrow(rows, run)


def _left(run: Run, operation: Operation, scope: Scope) -> QuerySet[Any]:
    """The rows that the next sweep would take."""
    ahead = Run(pk=run.pk, sweep=run.sweep + 1, scope=run.scope)
    last = run.lanes.exclude(upper=None).order_by("number").last()
    if last is None:  # The table was empty.
        return operation.model._base_manager.none()
    rows = candidates(operation, scope, ahead)
    return keyset_of(operation, scope, run).between(rows, None, last.upper)


def _late(operation: Operation, left: QuerySet[Any], number: int) -> dict[str, Any]:
    """The rows that came to need the change too late for the run, as a check's findings are told."""
    label = (
        f"{operation.model._meta.verbose_name_plural} that came to need it while the last sweep was under way"
    )
    with read_only():
        sample = _sample(left.order_by(), operation.label)
    return {"label": label, "found": number, "sample": sample, "late": True}


def _in_order(rows: QuerySet[Any]) -> QuerySet[Any]:
    """DISTINCT ON keeps the order by which it chooses."""
    return rows if rows.query.distinct_fields else rows.order_by("pk")


def _sample(rows: QuerySet[Any], label: str) -> list[str]:
    return [str(name) for name in rows.values_list(label, flat=True)[:_SAMPLE]]


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
    now.attended = run.attended
    swept_out = now.sweep == swept and not now.lanes.filter(finished=False).exists()
    if swept_out and now.state in AT_WORK:
        if not next_sweep:
            now.failures.filter(to_retry=True).delete()  # each was tried again, or needs no change any more
            runs.end(now, **ending)
        elif now.state == State.RUNNING:
            runs.next_sweep(now)
    refresh(run)
