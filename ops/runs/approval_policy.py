"""Which runs wait for a second person: those of more rows than OPS_APPROVAL_ROWS.

The rows of a person's runs within a day that needed nobody add up, so that two halves are not below the
limit. Reverts, retries and follow-ups need nobody, so that whatever was done can be taken back at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Sum
from django.db.models.functions import Now

from ops.models import Approval, Decision, Lane, Origin, Run
from ops.operations.base import Operation
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.states import State
from ops.users import find_user

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Need:
    """Why a run needs a second person: its rows, and those of the person's other runs within a day."""

    rows: int
    earlier_rows: int
    limit: int


def find_need(
    operation: type[Operation],
    scope: Scope,
    origin: str,
    performed_by: str,
    rows: int,
    run: Run | None = None,
) -> Need | None:
    """Return why ``run``, or a new run of so many rows, needs a second person; None if it needs nobody."""
    limit: int | None = settings.OPS_APPROVAL_ROWS
    is_exempt = issubclass(operation, Revert) or scope.failed_in_run is not None
    if limit is None or is_exempt or not rows or not _is_gated(origin):
        return None
    if run is not None:
        _lock_account(performed_by)
    earlier = _count_earlier_rows(performed_by, run)
    return Need(rows, earlier, limit) if rows + earlier > limit else None


def _is_gated(origin: str) -> bool:
    return origin == Origin.ADMIN or (origin == Origin.COMMAND and settings.OPS_APPROVAL_COMMANDS)


def _count_earlier_rows(performed_by: str, run: Run | None) -> int:
    """Count the rows of the person's other runs within a day that needed nobody.

    Of a run that ended, these are the rows that it changed; of any other also those that are left to change.
    """
    origins = [origin for origin in Origin.values if _is_gated(origin)]
    recent = Run.objects.filter(performed_by=performed_by, origin__in=origins, created_at__gt=Now() - _DAY)
    alone = recent.filter(approval=None).exclude(operation=Revert.name).exclude(scope__has_key="retries")
    alone = alone.exclude(pk=run.pk) if run else alone
    changed = dict(
        Lane.objects.filter(run__in=alone.values("pk")).values_list("run").annotate(changed=Sum("changed"))
    )
    return sum(
        changed.get(pk, 0) if state in (State.CANCELLED, State.SUCCEEDED) else max(total, changed.get(pk, 0))
        for pk, state, total in alone.values_list("pk", "state", "total")
    )


def hold_for_approval(run: Run, need: Need, comment: str) -> None:
    """Let the run wait; it claims nothing. In the transaction that creates it."""
    run.state = State.AWAITING_APPROVAL
    run.save(update_fields=["state"])
    Approval.objects.create(
        run=run,
        asked_by=find_user(run.performed_by),
        rows=need.rows,
        earlier_rows=need.earlier_rows,
        limit=need.limit,
        comment=comment.strip(),
        expires_at=Now() + settings.OPS_APPROVAL_EXPIRY,
    )


def _lock_account(username: str) -> None:
    """Let a person's runs be created one after the other, so that each counts the one before.

    Until the transaction ends. FOR NO KEY UPDATE, so that rows which refer to it can still be written.
    """
    accounts = get_user_model()._default_manager.select_for_update(no_key=True)
    accounts.filter(**{get_user_model().USERNAME_FIELD: username}).order_by("pk").first()


def find_approval(run: Run) -> Approval | None:
    """Return what a second person was asked about the run; None if it needed nobody."""
    return Approval.objects.filter(run=run).first()


def close(run: Run, decision: Decision, by: str = "", comment: str = "", reason: str = "") -> None:
    """Record how the run's wait ended, unless it has ended already."""
    Approval.objects.filter(run=run, decision="").update(
        decision=decision, decided_by=by, decided_at=Now(), decision_comment=comment.strip(), reason=reason
    )
