"""What happens when every lane is at its end: another sweep, or the checks and the end of the run."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Sum

from ops.db import read_only_snapshot, without_timeouts
from ops.engine.locks import LAST_SWEEP
from ops.exceptions import RunLost
from ops.models import Run
from ops.operations.base import Operation, is_failed_check
from ops.operations.candidates import build_keyset, candidates
from ops.operations.scope import Scope, describe_scope
from ops.runs import lifecycle
from ops.runs.lifecycle import refresh_run
from ops.sql.counts import count_querysets, is_plain_filter, without_nested_loops
from ops.sql.keyset import Keyset
from ops.states import IN_PROGRESS, State

# Note [What is left after the last sweep]
# The last sweep tries each candidate alone, and one that it sees and cannot change is a failure, whatever the
# reason: a lock, an error, a trigger, or row-level security, which lets a role see rows that it may not
# change. So a row that is left then, and is no failure, came to need the change while that sweep was under
# way. Two more sweeps are for those. Where players make more of them all the while, that is no fault of the
# run: they are told beside what the checks found, by number and by name.
_MAX_SWEEPS = LAST_SWEEP + 2
_SAMPLE_SIZE = 5


@without_timeouts()
def finish_or_resweep(run: Run, operation: Operation, scope: Scope) -> None:
    """Begin the next sweep if rows are left, or verify and end the run."""
    swept = run.sweep
    left = _remaining_rows(run, operation, scope)
    number, checks = _count_remaining_and_check(operation, scope, run, left)
    if number and swept < _MAX_SWEEPS:
        _commit_decision(run, swept, next_sweep=True)
        return
    checks += [_late_rows_result(operation, left, number)] if number else []
    _commit_decision(run, swept, checks=checks, state=_final_state(run, checks))


def verify_operation(operation: Operation, scope: Scope) -> list[dict[str, Any]]:
    """What the operation's checks find, each ``{"label", "found", "sample"}``; found is 0 where it holds.

    A ``scope`` tells of which rows it was asked, where those were not all.
    """
    return _count_remaining_and_check(operation, scope, None, operation.model._base_manager.none())[1]


def _count_remaining_and_check(
    operation: Operation, scope: Scope, run: Run | None, left: QuerySet[Any]
) -> tuple[int, list[dict[str, Any]]]:
    """How many rows are left, and what the checks find: of one snapshot, and mostly in one scan."""
    checks = list(operation.get_checks())
    mine = [check.queryset.model is operation.model for check in checks]
    rows = [
        _apply_scope(scope, check.queryset, run) if own else check.queryset
        for check, own in zip(checks, mine, strict=True)
    ]
    keyset = build_keyset(operation, scope, run)
    with read_only_snapshot(), without_nested_loops(keyset):
        if run and _is_key_list_done(run, keyset):
            left = left.none()
        number, *found = count_querysets([left, *rows], keyset.key_list)
        samples = [
            _sample_labels(_order_by_pk(of), operation.display_field if own else "pk") if number else []
            for of, own, number in zip(rows, mine, found, strict=True)
        ]
    within = {"scope": describe_scope(run)} if run and describe_scope(run) else {}
    return number, [
        {"label": check.label, "found": number, "sample": sample, **(within if own else {})}
        for check, own, number, sample in zip(checks, mine, found, samples, strict=True)
    ]


def _is_key_list_done(run: Run, keyset: Keyset) -> bool:
    """Whether the run changed each row of its list, or failed on it, so that none can be left.

    To look at each row and its entry once more takes a fourth as long as it took to change them all.
    """
    if keyset.key_list is None:
        return False
    changed = run.lanes.aggregate(all=Sum("changed"))["all"] or 0
    return keyset.keys().count() == changed + run.failures.counted().count()


def _apply_scope(scope: Scope, rows: QuerySet[Any], run: Run | None) -> QuerySet[Any]:
    return scope.apply_joined(rows, run) if is_plain_filter(rows) else scope.apply(rows, run)


def _remaining_rows(run: Run, operation: Operation, scope: Scope) -> QuerySet[Any]:
    """The rows that the next sweep would take."""
    ahead = Run(pk=run.pk, sweep=run.sweep + 1, scope=run.scope)
    last = run.lanes.exclude(upper=None).order_by("number").last()
    if last is None:  # The table was empty.
        return operation.model._base_manager.none()
    rows = candidates(operation, scope, ahead)
    return build_keyset(operation, scope, run).filter_range(rows, None, last.upper)


def _late_rows_result(operation: Operation, left: QuerySet[Any], number: int) -> dict[str, Any]:
    """The rows that came to need the change too late for the run, as a check's findings are told."""
    label = (
        f"{operation.model._meta.verbose_name_plural} that came to need it while the last sweep was under way"
    )
    with read_only_snapshot():
        sample = _sample_labels(left.order_by(), operation.display_field)
    return {"label": label, "found": number, "sample": sample, "late": True}


def _order_by_pk(rows: QuerySet[Any]) -> QuerySet[Any]:
    """DISTINCT ON keeps the order by which it chooses."""
    return rows if rows.query.distinct_fields else rows.order_by("pk")


def _sample_labels(rows: QuerySet[Any], label: str) -> list[str]:
    return [str(name) for name in rows.values_list(label, flat=True)[:_SAMPLE_SIZE]]


def _final_state(run: Run, checks: list[dict[str, Any]]) -> State:
    if run.failures.counted().exists():
        return State.FINISHED_WITH_FAILURES
    return State.VERIFICATION_FAILED if any(map(is_failed_check, checks)) else State.SUCCEEDED


@transaction.atomic
def _commit_decision(run: Run, swept: int, next_sweep: bool = False, **ending: Any) -> None:
    """Do what was decided, unless another process has decided since."""
    now = Run.objects.select_for_update().filter(pk=run.pk).first()
    if now is None:
        raise RunLost(run.pk)
    now.work_timer = run.work_timer
    swept_out = now.sweep == swept and not now.lanes.filter(finished=False).exists()
    if swept_out and now.state in IN_PROGRESS:
        if not next_sweep:
            now.failures.filter(to_retry=True).delete()  # each was tried again, or needs no change any more
            lifecycle.end(now, **ending)
        elif now.state == State.RUNNING:
            lifecycle.start_next_sweep(now)
    refresh_run(run)
