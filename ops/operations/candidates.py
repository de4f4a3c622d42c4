"""The rows that a run may still change."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet, Subquery
from django.db.models.lookups import Exact, IsNull

from ops.models import AuditLog, Failure, Run
from ops.operations.base import Operation
from ops.operations.scope import Scope
from ops.sql.keys import outer_pk_text
from ops.sql.keyset import Keyset


# Note [Why sweeps are needed]
# A cursor that only moves forward passes rows that it could not take: those that a player held locked at that
# moment, and those of a slow transaction, which appear behind the cursor when it commits. So the lanes are
# swept again until nothing is left. A later sweep leaves out what the run changed (a player may have changed
# it back since, and that must stand) and what failed.
#
# Note [Why scalar subqueries ask what a run audited]
# EXISTS may be hashed or joined, and the planner, whose statistics are older than the run, takes what the run
# audited for a row or two: each batch would read all of it, or worse, compare it with every row. A correlated
# scalar subquery is one look into the index for each candidate, and nothing else. Where a list names the rows
# it compares the entry's key too, so that it cannot run for every row of the table before the two are joined.
def candidates(operation: Operation, scope: Scope, run: Run | None = None) -> QuerySet[Any]:
    """The operation's rows in scope, less those that an earlier sweep of the run dealt with."""
    queryset, listed = scope.apply_joined(operation.get_queryset(), run), scope.key_list(run)
    if listed and operation.key_list:  # so that the entry in the one is found by that in the other
        queryset = queryset.filter(Exact(operation.key_list.key, listed.key))
    if run is not None and run.sweep > 1:
        entry = listed or operation.key_list
        for dealt_with in (AuditLog.objects.all(), Failure.objects.counted()):
            seen = dealt_with.filter(run=run, object_id=outer_pk_text()).values("run")
            if entry:
                seen = seen.filter(Exact(F("object_id"), entry.key))
            queryset = queryset.filter(IsNull(Subquery(seen[:1]), True))
    return queryset


def build_keyset(operation: Operation, scope: Scope, run: Run | None = None) -> Keyset:
    """The keys among which all candidates are."""
    return Keyset(operation.model, scope.key_list(run) or operation.key_list)
