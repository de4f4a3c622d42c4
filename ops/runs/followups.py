"""Runs that begin by themselves, on the workers: when another run ends, or when somebody asks for one.

An operation names in ``follows`` the columns that it depends on; a run that ends and has changed one of them
is followed by a run of it, whatever that run was: another operation, or a revert.
"""

from __future__ import annotations

import logging

from django.apps import apps
from django.conf import settings
from django.db import Error, transaction
from django.utils import timezone

from ops.events import log_event
from ops.exceptions import ColumnClaimed
from ops.models import FollowUp, Run
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
from ops.sql.counts import is_large_share

log = logging.getLogger(__name__)

# Lanes of unlike length: whoever is done with one takes the next.
_LANES_PER_WORKER = 4


def request_followup(
    name: str, performed_by: str, *, scope: Scope | None = None, follows: Run | None = None
) -> None:
    """Let the operation run on the workers, if a row needs it.

    Where another run holds its columns, the wish is left with that run and comes true in the transaction that
    ends it: no wish is lost, and a thousand of them are one. Raises UnknownOperation.
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


def start_followups(run: Run) -> None:
    """Begin what follows the run, and what was asked for meanwhile. In the transaction that ends it."""
    left = FollowUp.objects.filter(holder=run)
    wanted = {name: (by, Scope()) for name, by in left.values_list("operation", "performed_by")}
    left.delete()
    changed, followers = read_progress(run).changed, _dependent_operations(run)
    if changed and followers:  # else its table may be gone
        wanted = dict.fromkeys(followers, (run.performed_by, _followup_scope(run, changed))) | wanted
    for name, (performed_by, scope) in sorted(wanted.items()):
        try:
            with transaction.atomic():
                request_followup(name, performed_by, scope=scope, follows=run)
        except Exception as exc:
            if isinstance(exc, Error) and is_transient(exc):
                raise
            # It was changed or removed since, or is declared wrong: the run that ends must not suffer for it.
            log.exception("run %s: %s cannot follow it", run.pk, name)


def _followup_scope(run: Run, changed: int) -> Scope:
    """The rows that the run changed; where they are a good part of the table, it is read through instead."""
    is_whole = is_large_share(changed, apps.get_model(run.model))
    return Scope() if is_whole else Scope(changed_by=run.pk)


def _dependent_operations(run: Run) -> list[str]:
    columns = set(run.columns)
    return [
        operation.name
        for operation in registry.list_operations()
        if columns.intersection(operation.depends_on) and model_label(operation.model) == run.model
    ]


def _find_claiming_run(operation: Operation) -> Run | None:
    columns = [field.name for field in written_fields(operation)]
    held = claims.find_claim(model_label(operation.model), columns)
    return held.run if held else None


def _defer_followup(holder: Run, name: str, performed_by: str) -> bool:
    """Leave the wish with the holder; False where that has ended meanwhile."""
    with transaction.atomic():
        # Waits for a transaction that may be ending it right now; one that begins later sees the wish.
        Run.objects.select_for_update(no_key=True).get(pk=holder.pk)
        if not holder.claims.exists():
            return False
        asked = {"performed_by": performed_by}
        _, is_new = FollowUp.objects.get_or_create(holder=holder, operation=name, defaults=asked)
        if is_new:
            log_event(holder, "followup asked for", operation=name, by=performed_by)
    return True


def _create_followup_run(
    declared: type[Operation], performed_by: str, scope: Scope, follows: Run | None
) -> bool:
    """Create the run and call the workers; False where somebody else was faster to claim its columns."""
    workers = settings.FOLLOW_UP_WORKERS
    asked = creation.RunRequest(
        declared,
        performed_by,
        scope=scope,
        lanes=workers * _LANES_PER_WORKER,
        workers=workers,
        without_backup=True,  # where one is demanded the run tells so; nobody is here to make one
        follows=follows,
    )
    try:
        run = creation.create_run(asked)
    except ColumnClaimed:
        return False
    if warning := enqueue_run(run):
        log.warning("run %s: %s", run.pk, warning)
    return True
