"""End a sweep: begin another one, or execute the checks and end the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import Error, transaction
from django.db.models import QuerySet, Sum

from ops.db import read_only_snapshot, without_timeouts
from ops.engine.locks import LAST_SWEEP
from ops.exceptions import RunLost
from ops.models import Run
from ops.operations.base import Operation, is_failed_check
from ops.operations.candidates import build_keyset, candidates
from ops.operations.scope import Scope, describe_scope
from ops.retries import is_transient
from ops.runs import followups, lifecycle
from ops.runs.lifecycle import refresh_run
from ops.sql.counts import count_querysets, is_plain_filter, without_nested_loops
from ops.sql.keylist import KeyList
from ops.states import IN_PROGRESS, State

# Note [What is left after the last sweep]
# The last sweep tries each candidate alone, and one that it reads and cannot change is a failure, whatever
# the reason: a lock, an error, a trigger, or row-level security, which lets a role read rows that it may not
# change. So a row that is left then, and is no failure, came to need the change during that sweep. Two more
# sweeps are for those. Where players make more of them all the time, that is no fault of the run: they are
# reported with the results of the checks, by number and by name.
_MAX_SWEEPS = LAST_SWEEP + 2
_SAMPLE_SIZE = 5


@without_timeouts()
def finish_or_resweep(run: Run, operation: Operation, scope: Scope) -> None:
    """Begin the next sweep if rows are left, or execute the checks and end the run. Raises RunLost."""
    sweep = run.sweep
    count, checks, unneeded = _count_remaining_and_check(operation, scope, run)
    if count and sweep < _MAX_SWEEPS:
        _commit_decision(run, sweep, next_sweep=True)
        return
    if count:
        checks.append(_late_rows_result(operation, _remaining_rows(run, operation, scope), count))
    state = _final_state(run, checks)
    _commit_decision(run, sweep, checks=checks, state=state, unneeded_followups=unneeded)


def verify_operation(operation: Operation, scope: Scope) -> list[dict[str, Any]]:
    """Execute the operation's checks: for each, ``{"label", "found", "sample"}``; found is 0 if it holds.

    ``found`` counts the rows that violate the check, ``sample`` names some. ``"scope"`` is the rows that were
    checked, if those were not all.
    """
    return _count_remaining_and_check(operation, scope, None)[1]


def _count_remaining_and_check(
    operation: Operation, scope: Scope, run: Run | None
) -> tuple[int, list[dict[str, Any]], list[str]]:
    """Count the remaining rows, execute the checks, and list the follow-ups that no row needs.

    In one snapshot, and mostly in one scan. What the run has dealt with is left out only if rows still match:
    the scan is parallel without it.
    """
    checks = list(operation.get_checks())
    is_scoped = [check.queryset.model is operation.model for check in checks]
    violations = [
        _apply_scope(scope, check.queryset, run) if scoped else check.queryset
        for check, scoped in zip(checks, is_scoped, strict=True)
    ]
    keyset = build_keyset(operation, scope, run)
    dependents = followups.candidates_to_count(run) if run else {}
    with read_only_snapshot():
        listed = keyset.count_listed()
        with without_nested_loops(operation.model, listed):
            matching = operation.model._base_manager.none()
            if run and not (_has_only_batches(operation) and _is_key_list_done(run, listed)):
                matching = _remaining_rows(run, operation, scope, is_first_sweep=True)
            (count, *found), unneeded = _count_all([matching, *violations], dependents, keyset.key_list)
            if run and count:
                count = _remaining_rows(run, operation, scope).count()
            labels = [operation.display_field if scoped else "pk" for scoped in is_scoped]
            samples = [
                _sample_labels(_order_by_pk(rows), label) if number else []
                for rows, label, number in zip(violations, labels, found, strict=True)
            ]
    scope_json = {"scope": describe_scope(run)} if run and describe_scope(run) else {}
    results = [
        {"label": check.label, "found": number, "sample": sample, **(scope_json if scoped else {})}
        for check, scoped, number, sample in zip(checks, is_scoped, found, samples, strict=True)
    ]
    return count, results, unneeded


def _count_all(
    own: list[QuerySet[Any]], dependents: Mapping[str, QuerySet[Any]], key_list: KeyList | None
) -> tuple[list[int], list[str]]:
    """Count the run's own querysets, and list the dependents without a row.

    See Note [One scan at the end of a run].
    """
    if dependents:
        try:
            with transaction.atomic():
                counts = count_querysets([*own, *dependents.values()], key_list)
            numbers = zip(dependents, counts[len(own) :], strict=True)
            return counts[: len(own)], [name for name, number in numbers if not number]
        except Error as exc:  # perhaps of a follow-up's filter, which must not fail this run
            if is_transient(exc):
                raise
    return count_querysets(own, key_list), []


def _has_only_batches(operation: Operation) -> bool:
    """Whether the lanes count no rows but those of the key list."""
    return not operation.prepared_rows or operation.prepared_rows.is_empty


def _is_key_list_done(run: Run, listed: int) -> bool:
    """Whether the run changed each of so many listed rows, or failed on it, so that none can be left.

    To read each row and its entry once more takes a fourth of the time that it took to change them all.
    """
    if not listed:
        return False
    changed = run.lanes.aggregate(all=Sum("changed"))["all"] or 0
    return listed == changed + run.failures.counted().count()


def _apply_scope(scope: Scope, rows: QuerySet[Any], run: Run | None) -> QuerySet[Any]:
    return scope.apply_joined(rows, run) if is_plain_filter(rows) else scope.apply(rows, run)


def _remaining_rows(
    run: Run, operation: Operation, scope: Scope, is_first_sweep: bool = False
) -> QuerySet[Any]:
    """The candidates of the next sweep, up to the end of the last lane; or those of a first sweep."""
    next_run = Run(pk=run.pk, sweep=1 if is_first_sweep else run.sweep + 1, scope=run.scope)
    last = run.lanes.exclude(upper=None).order_by("number").last()
    if last is None:  # The table was empty.
        return operation.model._base_manager.none()
    rows = candidates(operation, scope, next_run)
    return build_keyset(operation, scope, run).filter_range(rows, None, last.upper)


def _late_rows_result(operation: Operation, remaining: QuerySet[Any], count: int) -> dict[str, Any]:
    """The rows that came to need the change too late for the run, in the form of a check's result."""
    rows = operation.model._meta.verbose_name_plural
    label = f"{rows} that were changed during the last sweep and need the run again"
    with read_only_snapshot():
        sample = _sample_labels(remaining.order_by(), operation.display_field)
    return {"label": label, "found": count, "sample": sample, "late": True}


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
def _commit_decision(run: Run, sweep: int, next_sweep: bool = False, **ending: Any) -> None:
    """Begin the next sweep or end the run, unless another process has done either since."""
    locked = Run.objects.select_for_update().filter(pk=run.pk).first()
    if locked is None:
        raise RunLost(run.pk)
    locked.work_timer = run.work_timer
    is_sweep_over = locked.sweep == sweep and not locked.lanes.filter(finished=False).exists()
    if is_sweep_over and locked.state in IN_PROGRESS:
        if not next_sweep:
            # Each was tried again, or needs no change any more.
            locked.failures.filter(to_retry=True).delete()
            lifecycle.end(locked, **ending)
        elif locked.state == State.RUNNING:
            lifecycle.start_next_sweep(locked)
    refresh_run(run)
