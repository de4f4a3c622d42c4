"""The rows that a run may still change."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet, Subquery
from django.db.models.lookups import Exact, IsNull

from ops.models import AuditLog, Failure, Run
from ops.operations.base import Operation
from ops.operations.scope import Scope
from ops.sql.counts import without_nested_loops
from ops.sql.keys import outer_pk_text
from ops.sql.keyset import Keyset


# Note [Why sweeps are needed]
# A cursor that only moves forward passes rows that it could not lock: those that a player had locked at that
# moment, and those of a slow transaction, which appear behind the cursor when it commits. So the lanes are
# swept again until nothing is left. A later sweep leaves out what the run changed (a player may have changed
# it back since, and that must stay) and what failed.
#
# Note [Scalar subqueries over audit rows]
# EXISTS may be hashed or joined. The planner's statistics are older than the run, so it expects a row or two
# of the run's audit rows: each batch would read all of them, or worse, compare them with every row. A
# correlated scalar subquery is one index lookup for each candidate, and nothing else. Where a list names the
# rows it compares the entry's key too, so that it cannot run for every row of the table before the join.
def candidates(operation: Operation, scope: Scope, run: Run | None = None) -> QuerySet[Any]:
    """The operation's rows in scope, without those that an earlier sweep of the run changed or failed on."""
    queryset, key_list = scope.apply_joined(operation.get_queryset(), run), scope.key_list(run)
    if key_list and operation.key_list:  # so that an entry of one list is found by that of the other
        queryset = queryset.filter(Exact(operation.key_list.key, key_list.key))
    if run is not None and run.sweep > 1:
        key_list = key_list or operation.key_list
        for processed in (AuditLog.objects.all(), Failure.objects.counted()):
            rows = processed.filter(run=run, object_id=outer_pk_text()).values("run")
            if key_list:
                rows = rows.filter(Exact(F("object_id"), key_list.key))
            queryset = queryset.filter(IsNull(Subquery(rows[:1]), True))
    return queryset


def build_keyset(operation: Operation, scope: Scope, run: Run | None = None) -> Keyset:
    """The keyset that contains every candidate's key."""
    return Keyset(operation.model, scope.key_list(run) or operation.key_list)


def count_candidates(operation: Operation, scope: Scope, run: Run, last: str | None) -> int:
    """Count the run's candidates up to the key ``last``, which is None only where there was no row, and the
    rows that it has to create or delete first."""
    prepared = operation.prepared_rows.count(run) if operation.prepared_rows else 0
    if last is None:
        return prepared
    keyset = build_keyset(operation, scope, run)
    with without_nested_loops(operation.model, keyset.count_listed()):
        return prepared + keyset.filter_range(candidates(operation, scope, run), None, last).count()
