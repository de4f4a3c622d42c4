"""The second person: approve or decline a run that waits, and cancel those that nobody decided in time.

Every decision locks the run's row and then reads its state, so that of several only one counts.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from ops import permissions
from ops.db import set_canonical_output
from ops.events import log_event
from ops.exceptions import DeclarationChanged, OpsError
from ops.formatting import pluralize
from ops.models import Approval, Decision, Origin, Run
from ops.operations.candidates import count_candidates
from ops.operations.scope import Scope
from ops.queue.enqueue import enqueue_run
from ops.runs import approval_policy, backup_policy, claims, lifecycle
from ops.runs.rebuild import rebuild_operation
from ops.sqlstates import READ_ONLY_TRANSACTION, sqlstate
from ops.states import State

# A run that would change more rows than so many percent over what was asked is sent back.
GROWTH_PERCENT = 1


class ApprovalRefused(OpsError):
    """A run cannot be approved or declined, now or by this person."""


def list_waiting() -> QuerySet[Approval]:
    """List what waits for a second person, the one that expires first in front."""
    waiting = Approval.objects.filter(decision="", expires_at__gt=Now(), run__state=State.AWAITING_APPROVAL)
    return waiting.select_related("run").order_by("expires_at", "pk")


def approve(run: Run, by: Any, comment: str = "") -> None:
    """Queue the run as it was asked for. ``by`` is an account.

    Where it can never be approved, it is cancelled instead: it expired, would change more rows than was
    asked, or its declaration changed. Raises ApprovalRefused, ColumnClaimed, or BackupRequired.
    """
    if reason := _approve(run, by, comment):
        raise ApprovalRefused(reason)


@transaction.atomic
def _approve(run: Run, by: Any, comment: str) -> str:
    """Return why the run was cancelled instead; "" if it was approved."""
    approval = _lock(run)
    _require_approver(approval, by)
    if reason := _expire_if_due(approval):
        return reason
    _require_asker(approval)
    try:
        total = count_rows(run)
    except DeclarationChanged:
        return _send_back(
            run, f"The code of {run.operation} changed after it was asked for. It has to be asked for again."
        )
    if reason := explain_growth(approval, total):
        return _send_back(run, reason)
    without_backup = backup_policy.require_backup(run.without_backup)
    username = by.get_username()
    lifecycle.transition(run, State.QUEUED, username, total=total, without_backup=without_backup)
    claims.acquire(run)
    approval_policy.close(run, Decision.APPROVED, username, comment)
    if run.workers:
        enqueue_run(run)  # The page of the run says if no worker takes it up.
    return ""


@transaction.atomic
def decline(run: Run, by: Any, comment: str = "") -> None:
    """Cancel the run. Raises ApprovalRefused."""
    approval = _lock(run)
    _require_approver(approval, by)
    _end(run, Decision.DECLINED, by.get_username(), comment)


def expire_due() -> None:
    """Cancel the runs that nobody decided in time; where the database is read-only, do nothing.

    Skips those that somebody decides just now.
    """
    due = Approval.objects.filter(decision="", expires_at__lte=Now()).order_by("pk")
    try:
        for approval in due:
            _expire(approval)
    except DatabaseError as exc:
        if sqlstate(exc) != READ_ONLY_TRANSACTION:
            raise


@transaction.atomic
def _expire(approval: Approval) -> None:
    runs = Run.objects.select_for_update(no_key=True, skip_locked=True)
    if run := runs.filter(pk=approval.pk, state=State.AWAITING_APPROVAL).first():
        approval.run = run
        _expire_if_due(approval)


def count_rows(run: Run) -> int:
    """Count what a waiting run would change now. Raises DeclarationChanged and what preconditions raise."""
    operation = rebuild_operation(run)
    with transaction.atomic():
        set_canonical_output()
        operation.check_preconditions()
        last = run.lanes.order_by("-number").values_list("upper", flat=True).first()
        return count_candidates(operation, Scope.of_run(run), run, last)


def explain_refusal(approval: Approval, account: Any) -> str:
    """Return why this person may not decide; "" if they may."""
    run = approval.run
    if is_asker(approval, account):
        return f"You asked for run {run.pk} yourself. Somebody else has to decide."
    if not (account.is_active and account.has_perms(permissions.approval_permissions(run.model))):
        return f"You may not approve run {run.pk}."
    return ""


def is_asker(approval: Approval, account: Any) -> bool:
    """Whether the account is that of the person who asked, also under another name by now."""
    return bool(account.pk == approval.asked_by_id or account.get_username() == approval.run.performed_by)


def _lock(run: Run) -> Approval:
    """Lock the run, and return its open approval. Raises ApprovalRefused if it does not wait any more."""
    lifecycle.refresh_run(run, from_queryset=Run.objects.select_for_update(no_key=True))
    approval = Approval.objects.filter(run=run).first()
    if approval is None:
        raise ApprovalRefused(f"Run {run.pk} does not wait for a second person.")
    if run.state != State.AWAITING_APPROVAL:
        raise ApprovalRefused(describe_decision(approval))
    approval.run = run
    return approval


def describe_decision(approval: Approval) -> str:
    """``Run 5 was declined by bob.``"""
    label = Decision(approval.decision).label if approval.decision else "cancelled"
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    if approval.decision == Decision.EXPIRED:
        return f"Run {approval.pk} has expired: nobody decided in time."
    reason = f": {approval.reason}" if approval.reason else "."
    return f"Run {approval.pk} was {label}{by}{reason}"


def _require_approver(approval: Approval, by: Any) -> None:
    """Raise ApprovalRefused unless the account, as it is now, may decide."""
    account = get_user_model()._default_manager.filter(pk=by.pk).first()
    if reason := explain_refusal(approval, account or by):
        raise ApprovalRefused(reason)


def _require_asker(approval: Approval) -> None:
    """Raise ApprovalRefused if whoever asked in the admin may not start the run any more."""
    run = approval.run
    if run.origin != Origin.ADMIN:
        return
    account = approval.asked_by
    if account is None or not account.is_active:
        raise ApprovalRefused(f"{run.performed_by} has no account any more, so decline run {run.pk}.")
    if not account.has_perms(permissions.start_permissions(run)):
        raise ApprovalRefused(
            f"{run.performed_by} may not start this operation any more. Decline run {run.pk}, or ask an"
            " administrator for the permission."
        )


def explain_growth(approval: Approval, total: int) -> str:
    """Return why the run would change too many more rows than was asked; "" if it would not."""
    if total * 100 <= approval.rows * (100 + GROWTH_PERCENT):
        return ""
    rows = pluralize(total, "row")
    return (
        f"It would change {rows} now, and {approval.rows:,} when it was asked for."
        f" {approval.run.performed_by} has to ask again."
    )


def _expire_if_due(approval: Approval) -> str:
    """Cancel the locked run if its time is over, and return what to say about it; else ""."""
    if not Approval.objects.filter(pk=approval.pk, expires_at__lte=Now()).exists():
        return ""
    _end(approval.run, Decision.EXPIRED)
    return f"Run {approval.pk} has expired: nobody decided in time."


def _send_back(run: Run, reason: str) -> str:
    _end(run, Decision.RETURNED, reason=reason)
    return f"Run {run.pk} was sent back. {reason}"


def _end(run: Run, decision: Decision, by: str = "", comment: str = "", reason: str = "") -> None:
    approval_policy.close(run, decision, by, comment, reason)
    log_event(run, decision, by=by, reason=reason)
    lifecycle.end(run, State.CANCELLED, by)
