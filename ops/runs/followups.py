"""Follow-ups: runs that start on the workers when another run ends, or on request.

An operation names in ``depends_on`` the columns that it depends on. When a run that changed one of them ends,
be it of another operation or a revert, a run of that operation starts.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import Error, transaction
from django.db.models import QuerySet
from django.utils import timezone

from ops.events import log_event
from ops.exceptions import ColumnClaimed
from ops.models import AuditLog, FollowUp, Run
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.candidates import candidates
from ops.operations.compiler import written_fields
from ops.operations.scope import Scope
from ops.operations.validation import build_operation, model_label
from ops.queue.enqueue import enqueue_run
from ops.retries import is_transient
from ops.runs import claims, creation
from ops.runs.progress import read_progress
from ops.sql.counts import is_large_share, is_plain_filter
from ops.sql.keylist import KeyList

log = logging.getLogger(__name__)

# More lanes than workers, since lanes differ in length: a worker that has finished one takes the next.
_LANES_PER_WORKER = 4
# A run's changed rows that are asked one by one whether they need a follow-up.
_SAMPLE_SIZE = 20


def request_followup(
    name: str, performed_by: str, *, scope: Scope | None = None, follows: Run | None = None
) -> None:
    """Run the operation on the workers, if a row needs it.

    Where another run has claimed its columns, the request is stored with that run, and served in the
    transaction that ends it. Repeated requests are stored once. Raises UnknownOperation.
    """
    declared, scope = registry.get_operation(name), scope or Scope()
    operation = build_operation(declared, {}, timezone.now())
    while True:
        holder = _find_claiming_run(operation)
        if holder is not None:
            done = _defer_followup(holder, name, performed_by)
        elif candidates(operation, scope).exists():
            done = _create_followup_run(declared, performed_by, scope, follows)
        else:
            done = True
        if done:
            return


def start_followups(run: Run, unneeded: Collection[str] = ()) -> None:
    """Start the run's follow-ups and the requests stored with it. In the transaction that ends it.

    ``unneeded`` are operations that no row needed when the run had changed its last one.
    """
    stored = FollowUp.objects.filter(holder=run)
    requests = {name: (by, Scope()) for name, by in stored.values_list("operation", "performed_by")}
    stored.delete()
    dependents = [name for name in find_dependent_operations(run.model, run.columns) if name not in unneeded]
    changed = read_progress(run).changed
    if changed and dependents:  # else its table may be gone
        scope = _followup_scope(run, changed)
        requests = dict.fromkeys(dependents, (run.performed_by, scope)) | requests
    for name, (performed_by, scope) in sorted(requests.items()):
        try:
            with transaction.atomic():
                request_followup(name, performed_by, scope=scope, follows=run)
        except Exception as exc:
            _raise_if_transient(exc)
            # The operation was removed or is invalid: that must not fail the run that ends.
            log.exception("run %s: cannot start the follow-up %s", run.pk, name)


# Note [One scan at the end of a run]
# The end of a run reads the table to count what is left. Where the run changed a large share of the table,
# that scan also counts the rows that need a follow-up: to look for such a row is another scan, by a single
# process and while the run is locked. Only the number 0 is of use: a row that needed the follow-up then may
# have got it before the run ends.
def candidates_to_count(run: Run) -> dict[str, QuerySet[Any]]:
    """The candidates of follow-ups, by operation: see Note [One scan at the end of a run].

    Left out are operations that one of some changed rows needs: ``start_followups`` finds a row soon.
    """
    changed, dependents = read_progress(run).changed, find_dependent_operations(run.model, run.columns)
    if not (changed and dependents and _followup_scope(run, changed).is_unrestricted):
        return {}
    sample = list(KeyList(AuditLog, run.pk).keys()[:_SAMPLE_SIZE])
    queries = {}
    for name in dependents:
        try:
            with transaction.atomic():
                operation = build_operation(registry.get_operation(name), {}, timezone.now())
                rows = candidates(operation, Scope())
                if is_plain_filter(rows) and not rows.filter(pk__in=sample).exists():
                    queries[name] = rows
        except Exception as exc:  # start_followups meets it again, and logs it
            _raise_if_transient(exc)
    return queries


def _raise_if_transient(error: Exception) -> None:
    if isinstance(error, Error) and is_transient(error):
        raise error


def _followup_scope(run: Run, changed: int) -> Scope:
    """Return the rows that the run changed, or all, where those are a large share of the table."""
    is_large = is_large_share(changed, apps.get_model(run.model))
    return Scope() if is_large else Scope(changed_by_run=run.pk)


def find_dependent_operations(model: str, columns: Collection[str]) -> list[str]:
    """Return the names of the operations that start after a run that changes these columns of the model."""
    return [
        operation.name
        for operation in registry.list_operations()
        if {*columns}.intersection(operation.depends_on) and model_label(operation.model) == model
    ]


def _find_claiming_run(operation: Operation) -> Run | None:
    columns = [field.name for field in written_fields(operation)]
    claim = claims.find_claim(model_label(operation.model), columns)
    return claim.run if claim else None


def _defer_followup(holder: Run, name: str, performed_by: str) -> bool:
    """Store the request with the run that holds the claim. Returns False if that has ended meanwhile."""
    with transaction.atomic():
        # Wait for a transaction that may be ending the run now; a later one sees the request.
        Run.objects.select_for_update(no_key=True).get(pk=holder.pk)
        if not holder.claims.exists():
            return False
        defaults = {"performed_by": performed_by}
        _, is_new = FollowUp.objects.get_or_create(holder=holder, operation=name, defaults=defaults)
        if is_new:
            log_event(holder, "followup asked for", operation=name, by=performed_by)
    return True


def _create_followup_run(
    declared: type[Operation], performed_by: str, scope: Scope, follows: Run | None
) -> bool:
    """Create and enqueue the run. Returns False if another run has just claimed its columns."""
    workers = settings.FOLLOW_UP_WORKERS
    request = creation.RunRequest(
        declared,
        performed_by,
        scope=scope,
        lanes=workers * _LANES_PER_WORKER,
        workers=workers,
        without_backup=True,  # the run records that a required backup was missing
        follows=follows,
    )
    try:
        run = creation.create_run(request)
    except ColumnClaimed:
        return False
    if warning := enqueue_run(run):
        log.warning("run %s: %s", run.pk, warning)
    return True
